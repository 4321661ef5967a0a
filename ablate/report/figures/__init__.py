"""Figures: heatmaps and the plots beside them."""
