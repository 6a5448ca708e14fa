"""A model hub: what an exported folder holds for `transformers`, and how folders travel."""
