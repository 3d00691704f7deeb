"""What makes a shell complete commands and options."""

from __future__ import annotations

import click

from downstroke.cli.options import common
from downstroke.cli.printing import print_json, tell
from downstroke.cli.program import main

SHELLS = ("bash", "zsh", "fish")


@main.command()
@click.argument("shell", type=click.Choice(SHELLS))
@common
def completion(shell: str, *, as_json: bool) -> None:
    """Print the script that completes downstroke in SHELL.

    bash and zsh: eval "$(downstroke completion bash)" in ~/.bashrc or ~/.zshrc; fish: mkdir -p
    ~/.config/fish/completions; downstroke completion fish > ~/.config/fish/completions/downstroke.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(main, {}, "downstroke", "_DOWNSTROKE_COMPLETE").source()
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        tell(*script.split("\n"))
