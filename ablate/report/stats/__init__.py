"""What the numbers of a sweep allow to say."""
