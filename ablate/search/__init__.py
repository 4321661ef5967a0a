"""Search for compositions: the points of the space, the samplers, the budget, and the run in rounds."""
