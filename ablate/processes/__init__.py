"""Processes: how they end, which signals end them, and how one is told from every other."""
