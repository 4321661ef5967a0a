"""Search for compositions with Optuna: the space, the next proposals, and the run in rounds."""
