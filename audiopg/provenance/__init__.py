"""What a result was made from: stages, code digests, run cards, and Snakemake and DVC in step."""
