"""Tar shards as img2dataset writes them, read in place: listed once, then every image by its offset."""

from __future__ import annotations

from lookalike.datasets.webdataset.opening import count_tar_images, find_tars, open_webdataset
from lookalike.datasets.webdataset.samples import text_ending_fault

__all__ = ["count_tar_images", "find_tars", "open_webdataset", "text_ending_fault"]
