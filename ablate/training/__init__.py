"""Training: encoder, heads, losses, optimiser, schedule and the trainer that joins them."""
