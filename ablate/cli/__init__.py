"""The command line: one thin function per command."""

from ablate.cli.app import main

__all__ = ["main"]
