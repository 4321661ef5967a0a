"""Sweeps: the plan, the launcher and its workers, the display, and what the disk says."""
