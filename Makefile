# `make help` lists the targets. Each makes .venv and installs what it needs, once for each state of pyproject.toml.

PYTHON ?= python3
VENV   ?= .venv
# What the tests compare with. Name a smaller build where the index has one: make test TORCH="torch==2.13.0+cpu torchvision"
TORCH  ?= torch torchvision
# Options for `make train`: make train ARGS="--epochs 1"
ARGS   ?=
# The table against PyTorch in less than five minutes
BENCH_QUICK = --rows baseline-4,baseline-32,baseline-128,vgg-32,vgg-32-fast --backends cython,numba --starts 3
# How long each op is timed by `make bench`
BENCH_OPS ?= --benchmark-max-time=0.15 --benchmark-columns=min,median,rounds --benchmark-group-by=group

BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Python with the build that `make test-sanitize` tests. CPython leaks by design; that is not what is looked for.
SANITIZED = LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 \
            UBSAN_OPTIONS=print_stacktrace=1 PYTHONPATH=build/sanitize/site $(BIN)/python
LIST_ISAS := from fastscratch_kernels import _tiles as t; assert "sanitize" in t.__file__; print(*t.available_isas())
ARM64_CC := aarch64-linux-gnu-gcc
DRIVER := -fno-math-errno -Wno-psabi -Ikernels/fastscratch_kernels tests/kernels/tile_driver.c $(wildcard kernels/fastscratch_kernels/tile_*.c)
SOURCES := pyproject.toml setup.py $(wildcard kernels/fastscratch_kernels/*.pyx kernels/fastscratch_kernels/*.pxd kernels/fastscratch_kernels/tile*)

.DEFAULT_GOAL := help
# One target after the other under `make -j`, too: they install into one environment, and benchmarks want a quiet machine.
.NOTPARALLEL:
.PHONY: help train test pytest coverage lint types format tables bench bench-quick bench-accuracy bench-compare clean
.PHONY: experiments experiments-quick experiments-report
.PHONY: test-sanitize test-arm64 test-lowest wheel wheel-test

help:  ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-18s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python $(SOURCES)
	$(PIP) --editable .
	@touch $@

# It holds all of the other, whose kernels would be built for nothing before these.
$(VENV)/installed-dev: $(BIN)/python $(SOURCES)
	$(PIP) --editable '.[dev]' $(TORCH)
	@touch $(VENV)/installed $@

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
	PATH="$(abspath $(BIN)):$$PATH" cython-lint kernels

types: $(VENV)/installed-dev  ## Check types
	$(BIN)/mypy

format: $(VENV)/installed-dev  ## Mend what can be mended by itself
	$(BIN)/ruff check --fix .

tables: $(VENV)/installed-dev  ## Fill the docs' tables from the results files
	$(BIN)/python experiments/tables.py
	$(BIN)/python benchmarks/report.py

# What `make experiments` runs: make experiments ONLY=learning_rate,losses SEEDS=1 ENGINES=torch DATA=shapes10 ARGS=--list
STUDY = $(if $(ONLY),--only $(ONLY)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(ENGINES),--engines $(ENGINES)) $(if $(DATA),--data $(DATA))
QUICK = --data shapes10 --share 0.01 --epochs 2 --seeds 1 --results build/experiments/results

experiments: $(VENV)/installed-dev  ## Run what is missing of the experiments, hours (ONLY=epochs SEEDS=1 ARGS=--list)
	$(BIN)/python experiments/study.py $(STUDY) $(ARGS)

experiments-quick: $(VENV)/installed-dev  ## Run all experiments on a hundredth of shapes10, and make their pages, in minutes
	rm -rf build/experiments
	$(BIN)/python experiments/study.py $(QUICK) --work build/experiments/work
	$(BIN)/python experiments/write_up.py $(QUICK) --readme build/experiments/README.md --page build/experiments/page.html

experiments-report: $(VENV)/installed-dev  ## Make all tables, figures and pages of the experiments out of their results
	$(BIN)/python experiments/write_up.py
	$(BIN)/python experiments/tables.py

# A script that fails is told at the end: the others are measured all the same, and the pages filled from what there is.
bench: $(VENV)/installed-dev  ## Measure everything against PyTorch, three quarters of an hour (leave the machine alone meanwhile)
	@failed=; measure() { echo "$$*"; "$$@" || failed="$$failed $$*;"; }; \
	for script in vs_torch.py "vs_torch.py --layers" "vs_torch.py --compile"; do measure $(BIN)/python benchmarks/$$script; done; \
	measure $(BIN)/python -m pytest benchmarks/bench_ops.py --timeout=0 $(BENCH_OPS); \
	for script in bench_step bench_data roofline ladder scaling; do measure $(BIN)/python benchmarks/$$script.py; done; \
	$(BIN)/python benchmarks/report.py; test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

bench-quick: $(VENV)/installed-dev  ## Print the table against PyTorch in less than five minutes
	$(BIN)/python benchmarks/vs_torch.py $(BENCH_QUICK) --out build/bench-quick.json

bench-accuracy: $(VENV)/installed-dev  ## Measure the seconds to 70 % and 75 % on CIFAR-10, five seeds (hours)
	$(BIN)/python benchmarks/time_to_accuracy.py

bench-compare: $(VENV)/installed-dev  ## Has HEAD become slower than BASE=<commit>?
	$(BIN)/python benchmarks/compare.py --base $(or $(BASE),$(error name a commit: make bench-compare BASE=main~1))

test-sanitize: $(VENV)/installed-dev  ## Test a build of the Cython kernels that checks every access to memory
	FASTSCRATCH_SANITIZE=1 $(PIP) --upgrade --no-deps --target build/sanitize/site .
	isas=$$($(SANITIZED) -c '$(LIST_ISAS)') && for isa in $$isas; do \
	    FASTSCRATCH_ISA=$$isa $(SANITIZED) -m pytest tests/kernels -k "cython and not numba" || exit 1; done
	$(CC) -O1 -fsanitize=address,undefined -fno-sanitize-recover=all $(DRIVER) -o build/sanitize/tile_driver
	build/sanitize/tile_driver

test-arm64:  ## Run the arm64 build of the C tiles on an emulator
	@for tool in $(ARM64_CC) qemu-aarch64; do command -v $$tool >/dev/null || { \
	    echo "$$tool is missing: apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" >&2; exit 1; }; done
	mkdir -p build/arm64
	$(ARM64_CC) -O3 -static $(DRIVER) -o build/arm64/tile_driver
	qemu-aarch64 build/arm64/tile_driver

test-lowest: $(VENV)/installed-release  ## Build and test with the oldest dependencies that pyproject.toml allows
	$(PYTHON) -m venv --clear build/lowest
	$(BIN)/python -m build --sdist --outdir build/lowest .
	$(BIN)/python tools/lower_bounds.py >build/lowest/requirements.txt
	build/lowest/bin/python -m pip install --quiet --requirement build/lowest/requirements.txt
	build/lowest/bin/python -m pip install --quiet --no-deps --no-build-isolation build/lowest/*.tar.gz
	build/lowest/bin/pytest -m "not torch and not slow" -W default::DeprecationWarning \
	    $(addprefix --ignore=,$(shell grep -lr '^import torch' tests) benchmarks fastscratch/interop/torch.py)

$(VENV)/installed-release: $(VENV)/installed
	$(PIP) --editable '.[release]'
	@touch $@

wheel: $(VENV)/installed-release  ## Build sdist and wheel into dist/, on Linux a manylinux wheel
	rm -rf build/wheel dist
	$(BIN)/python -m build --outdir build/wheel .
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tools/repair_wheel.py build/wheel dist
	mv build/wheel/*.tar.gz dist
	@ls -l dist

wheel-test: wheel  ## Install the wheel into an empty environment, far from here, and train with it
	$(PYTHON) tools/try_wheel.py dist

clean:  ## Remove what was built, .venv included
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
