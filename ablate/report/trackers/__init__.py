"""Projections of a sweep into experiment trackers such as TensorBoard; the records stay the truth."""
