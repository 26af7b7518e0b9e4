"""`python -m elslib.cli`."""

from elslib.cli import main

main()
