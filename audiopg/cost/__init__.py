"""What each stage will take, before it runs."""
