"""The web page of a sweep."""
