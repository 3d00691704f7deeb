"""The commands, a file each group: they parse, call and print. What they do lives in the rooms below."""

from downstroke.cli import advice, bench, reading, runs, studio, training
from downstroke.cli.program import main

__all__ = ["advice", "bench", "main", "reading", "runs", "studio", "training"]
