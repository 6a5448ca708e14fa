"""Vision transformer over log-mel patches: encoder, masked autoencoder, classifier."""
