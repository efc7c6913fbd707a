"""Images, captions or ready vectors become embeddings: performed, or reused."""

from lookalike.embed.embedder import Embedder
from lookalike.embed.embeddings import BadImage, Embeddings

__all__ = ["BadImage", "Embedder", "Embeddings"]
