"""Where jobs that were submitted before the move to ``ablate.launch`` look for their code."""
