"""Searching compositions with Optuna: the space, what to try next, and running it round by round."""
