# medzoo: `make demo` runs the full workflow, `make test` the tests; both first install what they need into .venv.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
# Tests start over a hundred processes; without bytecode files each would compile medzoo again.
TESTS  := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n auto
# CPU threads and network settings are not changed; tests never contact a hub.
export TOKENIZERS_PARALLELISM := false

.PHONY: help install demo test test-all test-gpu test-slurm tour docs check format wheel clean

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

install: $(VENV)/.installed  ## create .venv with all dependencies, once

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medzoo needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade uv
	$(RUN) -m uv pip install --quiet --compile-bytecode --python $(RUN) --editable ".[dev]"
	$(RUN) -m compileall -q medzoo recipes
	@touch $@

demo: install    ## pre-train, continue, fine-tune and tabulate on synthetic images, under 5 minutes on 2 cores
	$(RUN) -m medzoo demo --out demo

test: install    ## the fast tests, in minutes: one network of each kind
	$(TESTS) -m "not gpu and not long and not slurm and not parsl"

test-all: install ## all tests that need no GPU, in an hour: every network in every use
	$(TESTS) -m "not gpu and not slurm and not parsl"

test-gpu: install ## the tests that need a GPU, in minutes; they are skipped without one
	CUBLAS_WORKSPACE_CONFIG=:4096:8 PYTHONDONTWRITEBYTECODE= $(RUN) -m pytest -q -rs -m gpu tests

test-slurm: install ## suites on a real Slurm of two nodes, and through Parsl; it says which Debian packages are missing
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(RUN) -m pytest -q -rs -m "slurm or parsl" tests/cluster

tour: install    ## run all code blocks of the README and of the pages in docs/
	$(TESTS) tests/test_readme.py tests/test_docs.py

docs: install    ## build the documentation into site/, without network; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet
	@echo "open site/index.html"

check: install   ## ruff (lint and format) and mypy
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: install  ## format the code with ruff
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

wheel: install   ## build the wheel, and test it in an empty environment without the source tree
	bash tests/wheel.sh

clean:           ## remove build files (never results)
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
