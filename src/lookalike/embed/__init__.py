"""Images, captions or ready vectors become embeddings: performed, or reused."""

from lookalike.embed.embedder import Embedder, count_shards, shard_faults
from lookalike.embed.embeddings import BadImage, Embeddings

__all__ = ["BadImage", "Embedder", "Embeddings", "count_shards", "shard_faults"]
