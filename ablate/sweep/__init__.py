"""Sweeps: the plan and its extension, records, progress and leases, pruning, merging and confirmation."""
