"""Optimisation: pre-training, fine-tuning, and the loop under both."""
