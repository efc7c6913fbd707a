"""One simulation a module."""
