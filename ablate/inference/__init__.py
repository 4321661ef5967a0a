"""Inference about cells from seeds: the two-way model, its variances, Dunnett's value. Knows no records or reports."""
