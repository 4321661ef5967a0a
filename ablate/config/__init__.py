"""Validated descriptions of a sweep as it is asked for and as it is trained. Needs no torch."""
