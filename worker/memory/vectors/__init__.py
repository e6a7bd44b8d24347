"""Embeddings in Redis: generations, indexes, backfill of missing vectors, reindexing."""
