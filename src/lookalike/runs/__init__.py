"""Runs as they lie on the disk: what is recorded, how one is named, found, and opened again."""
