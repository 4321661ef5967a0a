"""The way from an experiment, as a user describes it, to the plan of a sweep."""
