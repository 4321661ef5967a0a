"""The version of ablate."""

__version__ = "0.2.0"
"""The version of this package, as ``ablate --version`` prints it."""
