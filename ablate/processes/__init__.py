"""Processes, and how they end: children that end with their parent, and the signals that end a command."""
