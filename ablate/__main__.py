"""The entry point of ``python -m ablate``, the same as the console script."""

from ablate.cli import main

main()
