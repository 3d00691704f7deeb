# `make train` and `make test` set everything up in .venv first; nothing is done twice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := dev
RUNS ?= runs
READY := $(VENV)/ready

.PHONY: setup train studio test test-slow lint types bench clean

setup: $(READY)

# Right again whenever the dependencies, the lock or this file change; the code itself is installed as a link to src.
$(READY): pyproject.toml constraints.txt Makefile
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "downstroke needs Python 3.11 or newer; say which: make PYTHON=python3.12 ...")'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

# make train ARGS="textbook --epochs 5 --name mine" RUNS=elsewhere
train: setup
	$(BIN)/python -m downstroke train --runs-dir $(RUNS) $(ARGS)
	$(BIN)/python -m downstroke test --runs-dir $(RUNS)

# make studio ARGS="--port 8000 --no-browser" RUNS=elsewhere
studio: setup
	$(BIN)/python -m downstroke studio --runs-dir $(RUNS) $(ARGS)

# All of it on two cores; with ARGS, what they say. The tests of the API's description share a name, and spread over two
# processes all but one would be lost. Each part runs, also after another that failed; one failure fails the whole.
test: setup
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	failed=0; \
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/studio/test_openapi.py || failed=1; \
	$(BIN)/python -m pytest tests/studio/test_openapi.py || failed=1; \
	exit $$failed
endif

test-slow: setup
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m downstroke bench core

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache src/*.egg-info
