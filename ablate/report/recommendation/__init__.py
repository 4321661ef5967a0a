"""The recommendation of a sweep: its choice, its certainty, and its files."""
