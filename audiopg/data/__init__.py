"""Clips as the models want them: synthetic ones by index, recordings by manifest."""
