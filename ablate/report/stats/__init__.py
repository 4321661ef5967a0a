"""Conclusions that the numbers of a sweep support."""
