"""Images, captions or ready vectors become embeddings: performed, or reused."""
