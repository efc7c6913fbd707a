"""Embeddings from and for other programs: files in, files of a finished run out."""

from lookalike.interchange.bundle import Bundle, bundle_of_files, bundle_of_run
from lookalike.interchange.writing import KINDS, write_bundle

__all__ = ["KINDS", "Bundle", "bundle_of_files", "bundle_of_run", "write_bundle"]
