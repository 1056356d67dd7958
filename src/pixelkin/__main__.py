"""`python -m pixelkin`, which is how `torchrun -m pixelkin train` starts it."""

from .cli import main

main()
