"""From an experiment, as a user describes it, to the plan of a sweep."""
