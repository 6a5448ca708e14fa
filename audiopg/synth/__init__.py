"""The procedural corpus: a score of physical parameters per index, and the renderer that plays it."""
