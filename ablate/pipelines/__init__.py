"""A composition as code that runs without ``ablate``."""
