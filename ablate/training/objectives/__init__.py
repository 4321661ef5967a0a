"""Objectives: what encoder and head are trained to do, each a loss of projections in a file of its own."""
