"""The version of ablate."""

__version__ = "0.1.0"
