"""The studio."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from downstroke.cli.options import common, in_runs_dir
from downstroke.cli.printing import print_json, say
from downstroke.cli.program import main
from downstroke.errors import DownstrokeError, missing, to_install

TOKEN = "DOWNSTROKE_TOKEN"  # in the environment, where other users do not see it, as they see arguments


@main.command()
@click.option("--port", default=0, show_default="a free one", type=click.IntRange(0, 65535))
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 serves others too; they need the token.")
@click.option("--no-browser", is_flag=True, help="Do not open the browser.")
@click.option("--read-only", is_flag=True, help="Show and read; train nothing, change nothing.")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    metavar="N",
    help="With --read-only: processes that answer.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let pages of this site ask the API, such as https://example.org; may be given again.",
)
@click.option(
    "--token",
    envvar=TOKEN,
    show_envvar=True,
    help="What programs send as Authorization: Bearer TOKEN; left out, a random one.",
)
@in_runs_dir
@common
def studio(
    *,
    port: int,
    host: str,
    no_browser: bool,
    read_only: bool,
    workers: int,
    origins: tuple[str, ...],
    token: str | None,
    runs_dir: str,
    as_json: bool,
) -> None:
    """Watch trainings, compare runs and draw digits in the browser. Programs use its API. Ctrl-C stops it."""
    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token != ""):
        raise click.UsageError("--token is empty, has spaces around it or is not ASCII; give printable ASCII")
    try:
        from downstroke.studio.guard import Settings, origin_of
        from downstroke.studio.launch import serve
    except ImportError as error:
        lean = find_spec("torch") is None  # what only reads has its own list, which pins what was tested
        how = "pip install -r requirements/server.txt, in the clone" if lean else to_install("studio")
        raise DownstrokeError(f"{error.name} is not installed; to have it: {how}") from None

    if not read_only and find_spec("torch") is None:
        raise DownstrokeError(missing(ModuleNotFoundError(name="torch"), "a studio without --read-only"))

    def tell(served: dict[str, str]) -> None:
        shown = served["token"] if token is None else "as given"  # not into a server's log
        ends = "Ctrl-C ends it" if read_only else "Ctrl-C ends it, trainings go on"
        say(f"the studio is at {served['url']}  (token {shown}; {ends})")
        if as_json:
            print_json(served)

    given = {} if token is None else {"token": token}
    try:
        allowed = tuple(origin_of(origin) for origin in origins)
    except DownstrokeError as error:
        raise click.UsageError(f"--allow-origin: {error}") from None
    settings = Settings(Path(runs_dir).resolve(), host, read_only=read_only, origins=allowed, **given)
    serve(settings, port, workers=workers, browser=not no_browser, say=tell)
