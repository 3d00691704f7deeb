"""Weights for use elsewhere."""

from __future__ import annotations

from typing import Any

import click

from downstroke.cli.options import OUTPUT, common, in_runs_dir, moved_data, trusting
from downstroke.cli.printing import on_stdout, print_json, say, tell
from downstroke.cli.program import main
from downstroke.errors import counted


@main.command()
@click.argument("run", required=False, metavar="[RUN|reader]")
@click.option("--onnx", type=OUTPUT, metavar="FILE", help="ONNX, checked with ONNX Runtime; needs the extra onnx.")
@click.option("--int8", is_flag=True, help="The ONNX file in 8 bits: a third of the size; its val accuracy is printed.")
@click.option(
    "--page", type=OUTPUT, metavar="FILE.html", help="One HTML file to draw on, which reads by itself, offline."
)
@click.option("--numpy", type=OUTPUT, metavar="FOLDER", help="The weights, and f(W, x) in NumPy to read and run.")
@click.option("--torchscript", type=OUTPUT, metavar="FILE", help="TorchScript, for libtorch; deprecated by torch.")
@moved_data
@trusting
@in_runs_dir
@common
def export(run: str | None, *, runs_dir: str, trust: bool, as_json: bool, **options: Any) -> None:
    """Write the weights of RUN, or of the shipped reader, for use elsewhere.

    All forms take float32 images [N,1,28,28] from 0 to 1, white on black, and give probabilities and whether a glyph is
    accepted; normalisation and temperature are inside. ONNX, NumPy and TorchScript are first run on 1,000
    images, and compared with the network.
    """
    from downstroke import api

    forms = ("onnx", "page", "numpy", "torchscript")
    if all(options[form] is None for form in forms):
        raise click.UsageError("nothing to export: give at least one of --onnx, --page, --numpy, --torchscript")
    if options["int8"] and options["onnx"] is None:
        raise click.UsageError("--int8 changes the ONNX file; give --onnx FILE, too")
    report = say if on_stdout((options[form] for form in forms), as_json=as_json) else tell
    made = api.export(run, runs_dir=runs_dir, trust=trust, **options)
    if as_json:
        print_json(made)
        return
    for one in made["files"]:
        report(f"{one['form']}: {one['file']} ({counted(one['bytes'], 'byte')}{_opset(one)})")
        if one["form"] != "page":
            report(
                f"  on {counted(one['images'], 'image')} the largest difference of a probability from the network's is "
                f"{one['largest_difference']:.1e}; accept differs for {one['accepted_otherwise']}"
            )
        if one.get("val_images"):
            report(
                f"  val accuracy in 8 bits: {one['val_accuracy']:.2%}, before {one['val_accuracy_before']:.2%}, "
                f"on {counted(one['val_images'], 'image')}"
            )
        elif one.get("int8"):
            report("  the run has no val images, so the accuracy in 8 bits was not measured")


def _opset(one: dict[str, Any]) -> str:
    return f", opset {one['opset']}" if "opset" in one else ""
