"""The views of the studio's page, and a digit to draw: what the tests look for in any browser."""

VIEWS = ("learn/one", "learn/smooth", "compare/one/two", "inside/one", "examine/one", "read")
SETTLED = {
    "learn/one": [".plot-run svg"],
    "learn/smooth": [".plot-run svg"],
    "compare/one/two": [".sentences div", "table.words", ".plot-overlay svg"],
    "inside/one": [".filters canvas", "#slider:enabled", ".plot-small svg"],
}  # what is there when a view has all that it asked for
SEVEN = ((0.28, 0.14), (0.42, 0.14), (0.4, 0.22), (0.36, 0.32), (0.33, 0.42))  # in parts of the pad's width
