"""Tar shards as img2dataset writes them, read in place: listed once, then every image by its offset."""

from __future__ import annotations
