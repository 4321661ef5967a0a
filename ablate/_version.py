"""The version of ablate."""

__version__ = "0.1.0"
"""The version of this package, as ``ablate --version`` prints it."""
