"""Weights for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from downstroke.cli.options import common, in_runs_dir, moved_data, trusting
from downstroke.cli.printing import print_json, tell
from downstroke.cli.program import main
from downstroke.errors import counted

_path = click.Path(path_type=Path)


@main.command()
@click.argument("run", required=False, metavar="[RUN|reader]")
@click.option("--onnx", type=_path, metavar="FILE", help="ONNX, checked with ONNX Runtime; needs the extra onnx.")
@click.option("--int8", is_flag=True, help="The ONNX file in 8 bits: a third of the size; its val accuracy is told.")
@click.option(
    "--page", type=_path, metavar="FILE.html", help="One HTML file to draw on, which reads by itself, offline."
)
@click.option("--numpy", type=_path, metavar="FOLDER", help="The weights, and f(W, x) in NumPy to read and run.")
@click.option("--torchscript", type=_path, metavar="FILE", help="TorchScript, for libtorch; torch calls it deprecated.")
@moved_data
@trusting
@in_runs_dir
@common
def export(run: str | None, *, runs_dir: str, trust: bool, as_json: bool, **options: Any) -> None:
    """Write the weights of RUN, or of the shipped reader, for use elsewhere.

    All forms take float32 images [N,1,28,28] from 0 to 1, white on black, and give probabilities and whether a glyph is
    accepted; normalisation and temperature are inside. ONNX, NumPy and TorchScript are run on 1,000 images after
    writing, and compared with the network.
    """
    from downstroke import api

    made = api.export(run, runs_dir=runs_dir, trust=trust, **options)
    if as_json:
        print_json(made)
        return
    for one in made["files"]:
        tell(f"{one['form']}: {one['file']} ({counted(one['bytes'], 'byte')}{_told(one)})")
        if one["form"] != "page":
            tell(
                f"  on {counted(one['images'], 'image')} the largest difference of a probability from the network's is "
                f"{one['largest_difference']:.1e}; accept differs for {one['accepted_otherwise']}"
            )
        if one.get("val_images"):
            tell(
                f"  val accuracy in 8 bits: {one['val_accuracy']:.2%}, before {one['val_accuracy_before']:.2%}, "
                f"on {counted(one['val_images'], 'image')}"
            )
        elif one.get("int8"):
            tell("  the run has no val images, so the accuracy in 8 bits was not measured")


def _told(one: dict[str, Any]) -> str:
    return f", opset {one['opset']}" if "opset" in one else ""
