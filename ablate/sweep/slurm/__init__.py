"""The old import path, for jobs that were submitted before the move to ``ablate.launch``."""
