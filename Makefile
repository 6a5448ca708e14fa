# Needs Python 3.11 or newer, make and git; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SHELL := /bin/bash
export OMP_WAIT_POLICY := passive
# two processes with one thread each are faster than one with two; a test that is about threads sets their number
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(shell nproc 2>/dev/null || echo 2) --dist worksteal --durations 20

SHIPPED := audiopg/pretrained/shipped
MADE := resume/shipped

.PHONY: run test test-all lint format docs encoder setup help
.DEFAULT_GOAL := run

run: $(READY)  ## make all results, print the table, and say whether they reproduce the committed ones
	$(BIN)/snakemake --cores all
	@cat results/table.md
	@if git rev-parse --quiet --verify HEAD >/dev/null; then $(BIN)/audiopg verify --against HEAD; fi

test: $(READY)  ## what a change can break, in minutes
	$(PYTEST) -m "not slow"

test-all: $(READY)  ## every test: kills, whole graphs, a cluster, a browser
	$(PYTEST)

lint: $(READY)  ## check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/corpus.smk workflow/rules

format: $(READY)  ## write the code in its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow/corpus.smk workflow/rules

docs: $(READY)  ## build the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

encoder: $(READY)  ## make the encoder of the package anew, from its params.yaml: one or two hours of one core; resumes
	$(BIN)/audiopg pretrain --params $(SHIPPED)/params.yaml --resume $(MADE)/state --curves $(MADE)/curves \
		--encoder $(MADE)/encoder.safetensors --model $(MADE)/model.safetensors --loss $(MADE)/loss.csv --card $(MADE)/run.json
	$(BIN)/audiopg export --encoder $(MADE)/encoder.safetensors --results $(MADE) --half --out $(SHIPPED)

setup: $(READY)  ## install everything into .venv

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt requirements-data.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "audiopg needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "setting up .venv: about 6 GB (torch brings CUDA), one to ten minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements-data.txt
	@touch $(READY)
