"""The commands, one file per group: they parse, call and print. What they do lives in the rooms below."""

from downstroke.cli import advice, bench, completion, exporting, reading, runs, studio, training
from downstroke.cli.program import main

__all__ = ["advice", "bench", "completion", "exporting", "main", "reading", "runs", "studio", "training"]
