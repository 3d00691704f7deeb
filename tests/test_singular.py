"""No "1 epochs": a number stands before its noun through `errors.counted` (`several` in the studio's pages)."""

import ast
import re
from pathlib import Path

import pytest

import downstroke
from downstroke.errors import counted

HOME = Path(downstroke.__file__).parent
NOUNS = (
    "bytes changes classes columns digits epochs errors fields files glyphs images labels lines looks minutes pages "
    "pictures pixels points processes rows runs seconds seeds steps threads times trials values"
).split()
PLURAL = re.compile(rf" (more )?({'|'.join(NOUNS)})\b(?!/)")
#: What stands before a noun and is no count, or one that is never 1: the name of a part, a constant, a size.
NO_COUNT = {"part", "parts", "height", "least", "len(held)"}


def bare_plurals(source: str) -> list[str]:
    """Where an f-string has a number before a noun in the plural, whatever the number is."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, after in zip(node.values, node.values[1:], strict=False):
            if not (isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant)):
                continue
            code = ast.unparse(value.value)
            constant = code.rpartition(".")[2].isupper()
            ratio = value.format_spec is not None and str(ast.unparse(value.format_spec)).strip("'\"").endswith("f")
            if PLURAL.match(str(after.value)) and not (constant or ratio or code in NO_COUNT):
                found.append(f"line {node.lineno}: {{{code}}}{after.value}"[:100])
    return found


@pytest.mark.parametrize("path", sorted(HOME.rglob("*.py")), ids=lambda path: str(path.relative_to(HOME)))
def test_no_number_stands_before_a_plural_by_itself(path: Path) -> None:
    assert bare_plurals(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", sorted(HOME.rglob("*.js")), ids=lambda path: path.name)
def test_no_number_stands_before_a_plural_by_itself_in_the_studio(path: Path) -> None:
    found = [
        match.group()
        for match in re.finditer(r"\$\{([^{}]*)\}" + PLURAL.pattern, path.read_text(encoding="utf-8"))
        if not match.group(1).rpartition(".")[2].isupper()
    ]
    assert found == []


def test_a_bare_plural_is_found_and_a_counted_one_is_not() -> None:
    assert bare_plurals('f"{n} epochs"') == ["line 1: {n} epochs"]
    assert bare_plurals("f\"{counted(n, 'epoch')} and {MOST} images\"") == []
    assert [counted(n, "epoch") for n in (0, 1, 1.0, 2, 1200, 0.5)] == [
        "0 epochs",
        "1 epoch",
        "1 epoch",
        "2 epochs",
        "1,200 epochs",
        "0.5 epochs",
    ]
