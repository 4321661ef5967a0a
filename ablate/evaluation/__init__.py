"""Evaluation protocols: measure the quality of a frozen encoder, with labels and without."""
