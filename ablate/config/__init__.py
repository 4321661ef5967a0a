"""Validated descriptions of what is asked for and what is trained. Needs no torch."""
