"""Linear evaluation and k nearest neighbours on frozen features."""
