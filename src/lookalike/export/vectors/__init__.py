"""Embeddings from and for other programs: files in, files of a finished run out."""
