"""SimCLR: encoder, projection head, NT-Xent, optimiser, schedule and the trainer that joins them."""
