"""Adapters of the encoder for evaluation suites, by the contract of each; none needs its suite to be imported."""
