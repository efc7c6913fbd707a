"""Lookalike: which embedding model and which FAISS index find your images, at what cost."""

__version__ = "0.1.0"
