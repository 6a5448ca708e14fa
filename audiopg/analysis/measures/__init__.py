"""Statistics of embeddings: what can be read from them, in which directions, and how sure that is."""
