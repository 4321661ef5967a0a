"""Evaluation protocols: what a frozen encoder is worth, with labels and without."""
