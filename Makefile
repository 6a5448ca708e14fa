# make run | test | lint | setup. Needs Python 3.11 or newer, make and git; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SHELL := /bin/bash
export OMP_WAIT_POLICY := passive

.PHONY: run test lint setup
.DEFAULT_GOAL := run

run: $(READY)
	$(BIN)/snakemake --cores all
	@cat results/table.md

test: $(READY)
	$(BIN)/pytest

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/rules

setup: $(READY)

$(READY): pyproject.toml constraints.txt requirements-data.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "audiopg needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "setting up .venv: about 6 GB (torch brings CUDA), one to ten minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements-data.txt
	@touch $(READY)
