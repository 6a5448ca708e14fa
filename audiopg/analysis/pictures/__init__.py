"""Pictures of the latent space, and the data behind them."""
