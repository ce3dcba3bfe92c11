# `make help` lists the targets. Each makes .venv and installs what it needs, once for each state of pyproject.toml.

PYTHON ?= python3
VENV   ?= .venv
# What the tests compare with. Name a smaller build where the index has one: make test TORCH="torch==2.13.0+cpu torchvision"
TORCH  ?= torch torchvision
# Options for `make train`: make train ARGS="--epochs 1"
ARGS   ?=
# How long each op is timed by `make bench`
BENCH_OPS ?= --benchmark-max-time=0.2 --benchmark-columns=min,median,rounds --benchmark-group-by=group

BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SOURCES := pyproject.toml setup.py $(wildcard kernels/fastscratch_kernels/*.pyx kernels/fastscratch_kernels/*.pxd kernels/fastscratch_kernels/tile*)

.DEFAULT_GOAL := help
.PHONY: help train test pytest coverage lint types format tables bench bench-quick bench-accuracy bench-compare clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-15s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python $(SOURCES)
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) --editable '.[dev]' $(TORCH)
	@touch $@

train: $(VENV)/installed  ## Train the report's CNN on 50,000 images (options: ARGS="--epochs 1")
	$(BIN)/fastscratch train $(ARGS)

test: $(VENV)/installed-dev lint types pytest  ## Lint, check types, run all tests

pytest: $(VENV)/installed-dev  ## Run the tests and the docs' code blocks
	$(BIN)/python -m pytest

coverage: $(VENV)/installed-dev  ## Run all tests, the Numba kernels' once more as plain Python, and tell which lines ran
	$(BIN)/python -m pytest -q --cov --cov-report=
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q tests/kernels -k numba -m "not large" --cov --cov-append --cov-report=
	$(BIN)/python -m coverage report --skip-covered --show-missing

lint: $(VENV)/installed-dev  ## Check style and formatting rules
	$(BIN)/ruff check .
	PATH="$(BIN):$$PATH" cython-lint kernels

types: $(VENV)/installed-dev  ## Check types
	$(BIN)/mypy

format: $(VENV)/installed-dev  ## Mend what can be mended by itself
	$(BIN)/ruff check --fix .

tables: $(VENV)/installed-dev  ## Fill the docs' tables from the results files
	$(BIN)/python experiments/tables.py
	$(BIN)/python benchmarks/report.py

bench: $(VENV)/installed-dev  ## Measure everything against PyTorch, 45 minutes (leave the machine alone meanwhile)
	$(BIN)/python benchmarks/vs_torch.py
	$(BIN)/python benchmarks/vs_torch.py --layers
	$(BIN)/python -m pytest benchmarks/bench_ops.py --timeout=0 $(BENCH_OPS)
	$(BIN)/python benchmarks/bench_step.py
	$(BIN)/python benchmarks/bench_data.py
	$(BIN)/python benchmarks/roofline.py
	$(BIN)/python benchmarks/ladder.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/report.py

bench-quick: $(VENV)/installed-dev  ## Print the table against PyTorch in less than five minutes
	$(BIN)/python benchmarks/vs_torch.py --rounds 5 --seconds 0.3 --out build/bench-quick.json

bench-accuracy: $(VENV)/installed-dev  ## Measure the seconds to 70 % and 75 % on CIFAR-10, five seeds (hours)
	$(BIN)/python benchmarks/time_to_accuracy.py

bench-compare: $(VENV)/installed-dev  ## Has HEAD become slower than BASE=<commit>?
	$(BIN)/python benchmarks/compare.py --base $(or $(BASE),$(error name a commit: make bench-compare BASE=main~1))

clean:  ## Remove what was built, .venv included
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
