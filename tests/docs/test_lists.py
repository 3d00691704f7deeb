"""What the pages list is what there is: public names, a run's files, the files of a session."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from PIL import Image

import downstroke
from downstroke.bench import reading as bench_reading
from downstroke.cli import main
from downstroke.data.dataset import Dataset

ROOT = Path(__file__).parents[2]


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_every_public_name_is_on_the_page_of_the_api() -> None:
    page = text_of("docs/api.md")
    listed = {name.rpartition(".")[2] for name in re.findall(r"^::: (\S+)", page, re.M)}
    listed |= set(re.findall(r"`downstroke\.(\w+)`", page))
    assert set(downstroke.__all__) <= listed


def test_every_file_that_a_run_may_hold_is_on_the_page_of_training(tiny: Path, tmp_path: Path) -> None:
    fields: dict[str, Any] = {"data": str(tiny), "model": "linear", "epochs": 2, "progress": False}
    run = downstroke.train("textbook", **fields, runs_dir=tmp_path, log_to="tensorboard")
    run.extend(epochs=1, progress=False)
    run.test()
    table = text_of("docs/training.md").partition("## What a run keeps")[2].partition("\n\nFiles that begin")[0]
    cells = re.findall(r"^\|([^|]*)\|", table, re.M)
    listed = {name.rstrip("/") for cell in cells for name in re.findall("`(.*?)`", cell)}
    held = {path.name for path in run.folder.iterdir() if not fnmatch.fnmatch(path.name, ".*")}
    assert held <= listed
    assert listed - held == {"wandb", "asked.json"}, "of these there is a line, and no file"


def test_the_first_picture_of_the_readme_is_read_as_it_says(tmp_path: Path) -> None:
    (made,) = re.findall(r'^\$ python -c "(.*)"$', text_of("README.md"), re.M)
    subprocess.run([sys.executable, "-c", made], cwd=tmp_path, check=True)
    assert ": 7 (" in CliRunner().invoke(main, ["read", str(tmp_path / "seven.png")]).stdout


def test_a_folder_laid_out_as_the_page_says_is_measured(mnist: Dataset, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(bench_reading.no_digits, "measure", lambda reader: {})
    monkeypatch.setattr(bench_reading.throughput, "measure", lambda origin, say: {})
    page = text_of("docs/reading.md").partition("## How well it reads")[2]
    places = re.findall(r"^\| `(\S+)` \|", page, re.M)
    assert places == ["glyphs/NAME.npz", "not-digits/NAME.npz", "pages/labels.csv"]
    for place in places:
        (tmp_path / place).parent.mkdir()
    for place in places[:2]:
        np.savez(tmp_path / place, images=255 - mnist.test.images[:2], labels=mnist.test.labels[:2])
    (tmp_path / "pages" / "notes").mkdir()
    sheet = np.full((112, 128), 255, np.uint8)
    for index in (0, 1):
        sheet[42:70, 64 * index + 18 : 64 * index + 46] = 255 - mnist.test.images[index]
    Image.fromarray(sheet).save(tmp_path / "pages" / "notes" / "a.png")
    (tmp_path / "pages" / "labels.csv").write_text("file,text\nnotes/a.png,72\n")
    figures = bench_reading.measure(tmp_path, downstroke.Reader.shipped(), None, lambda line: None)
    assert figures["glyphs"]["NAME"]["accuracy"] == 1
    assert figures["not_digits"]["NAME"]["images"] == 2
    assert figures["pages"]["notes"]["character_error"] == 0
