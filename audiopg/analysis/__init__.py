"""What the encoder's latent space knows about the physics."""
