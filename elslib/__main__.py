"""`python -m elslib ...`, which is what torchrun starts."""

from elslib.cli import main

main()
