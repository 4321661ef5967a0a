"""Figures: heatmaps and what stands beside them."""
