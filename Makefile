# `make train` and `make test` set everything up in .venv first; nothing is done twice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := dev
RUNS ?= runs
READY := $(VENV)/ready
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help setup train studio check lint types test test-slow bench docs docs-serve clean

# `make` alone sets up, as ever.
.DEFAULT_GOAL := setup

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(READY)  ## .venv with downstroke and everything that the tests need

# Right again whenever the dependencies, the lock or this file change; the code itself is installed as a link to src.
$(READY): pyproject.toml constraints.txt Makefile
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "downstroke needs Python 3.11 or newer; say which: make PYTHON=python3.12 ...")'
	$(INSTALL) --no-compile --editable '.[$(EXTRAS)]'
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # on all cores; pip would take one
	touch $@

# Another extra, when a target needs it.
$(VENV)/ready-%: $(READY)
	$(INSTALL) --editable '.[$*]'
	touch $@

train: setup  ## train a run, then look at the test set; ARGS="textbook --epochs 5" RUNS=elsewhere
	$(BIN)/python -m downstroke train --runs-dir $(RUNS) $(ARGS)
	$(BIN)/python -m downstroke test --runs-dir $(RUNS)

studio: setup  ## open the studio in the browser; ARGS="--port 8000" RUNS=elsewhere
	$(BIN)/python -m downstroke studio --runs-dir $(RUNS) $(ARGS)

check: lint types test  ## what CI runs, fastest first; stops at the first part that fails

lint: setup  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## mypy
	$(BIN)/mypy

# All of it on two cores: in two processes, and beside them the tests of the API's description. Those share a name, and
# spread over processes all but one would be lost; their plugin takes seconds to load, which the other tests do without.
# Each part runs, also after another that failed; one failure fails the whole. Python keeps the bytecode of the tests,
# whatever the environment says: each process that they start would compile anew.
test test-slow: export PYTHONDONTWRITEBYTECODE =
test: setup  ## all tests but the slow ones; ARGS="-x tests/cli" for some of them
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	failed=0; said=$$(mktemp); \
	$(BIN)/python -m pytest tests/studio/test_openapi.py >$$said 2>&1 & beside=$$!; \
	$(BIN)/python -m pytest -p no:schemathesis -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/studio/test_openapi.py || failed=1; \
	wait $$beside || failed=1; \
	cat $$said; rm $$said; exit $$failed
endif

test-slow: $(VENV)/ready-slow  ## the long proofs
	$(BIN)/python -m pytest -m slow $(ARGS)

bench: setup  ## the measurements of the learning core
	$(BIN)/python -m downstroke bench core

docs: $(VENV)/ready-docs  ## the documentation as a site that opens from its files, in site/; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: $(VENV)/ready-docs  ## the same on 127.0.0.1:8001, made anew when a page changes
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr 127.0.0.1:8001

clean:  ## remove .venv, caches and builds
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache src/*.egg-info
