"""The group of commands: what downstroke raises becomes one line and an exit code."""

from __future__ import annotations

import sys
from typing import Any

import click

from downstroke.cli.options import remember_debug
from downstroke.cli.printing import end_items, print_item, print_json, say
from downstroke.errors import DownstrokeError, RecipeError, missing, shown

FAILED, USAGE, REFUSED, INTERRUPTED = 1, 2, 3, 130


class Program(click.Group):
    """The group of commands; turns what downstroke raises into one line and an exit code."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        try:
            return super().make_context(*args, **more)
        except click.UsageError as error:
            raise escaped(error) from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["json"] = "--json" in args  # known also where the command's own options cannot be parsed
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error = escaped(error)
            answer_error(ctx, error.message)
            raise error from None
        except (click.ClickException, click.exceptions.Exit, click.Abort, SystemExit):
            raise
        except KeyboardInterrupt:
            say("interrupted")
            answer_error(ctx, "interrupted")
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:  # whoever read our output has seen enough
            sys.stderr.close()
            ctx.exit(FAILED)
        except Exception as error:
            if ctx.meta.get("debug"):
                raise
            line = shown(_line(error))
            say(f"error: {line}")
            answer_error(ctx, line)
            ctx.exit(USAGE if isinstance(error, RecipeError) else FAILED)


def escaped(error: click.UsageError) -> click.UsageError:
    """The same with what does not print as its escape: it quotes what was typed, and what files are called."""
    return click.UsageError(shown(error.format_message()), error.ctx)


def answer_error(ctx: click.Context, line: str) -> None:
    """Under --json, make stdout one JSON value: the error, or the list that was begun with the error as its last."""
    answered = ctx.meta.get("answered")
    if not ctx.meta.get("json") or answered == "whole":
        return
    if answered == "begun":
        print_item({"error": line}, first=False)
        end_items()
    else:
        print_json({"error": line})


def _line(error: Exception) -> str:
    """What a person sees of an error."""
    if isinstance(error, DownstrokeError):
        return str(error)
    if isinstance(error, ImportError) and (line := missing(error)):
        return line
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    return f"{type(error).__name__}: {' '.join(str(error).split())} (unexpected; --debug shows where)"


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="downstroke")
@click.option("--debug", is_flag=True, expose_value=False, callback=remember_debug, help="Show tracebacks.")
def main() -> None:
    """Teach a network to read handwritten digits, and see every step of that learning.

    RUN is a run's folder, or its name in the runs folder; by default, the newest run.
    """
