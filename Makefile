# Two commands for a stranger: `make demo` and `make test`. Both do all the set-up themselves.
PYTHON ?= python3
BIN := .venv/bin
# One thread a worker: the suite runs a worker a core, and nothing in it may depend on the number of threads.
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: install demo test lint types docs page pytest fuzz bench bench-labels results wheel release qgis qgis-install lock clean

install: .venv/installed

# The labelling page is built by the installation, so its sources count.
PAGE := $(shell find frontend -name node_modules -prune -o -type f -print)

.venv/installed: requirements.lock pyproject.toml hatch_build.py $(PAGE)
	@$(PYTHON) -c 'import sys; sys.exit(f"Python {sys.version.split()[0]} is too old, expected 3.11 or newer. Run: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: install
	$(BIN)/pixelkin demo

test: lint types docs page pytest

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: install
	$(BIN)/mypy

docs: install
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --quiet

page: install
	cd frontend && PATH="$(CURDIR)/$(BIN):$$PATH" && { test -d node_modules || npm ci --no-audit --no-fund; } && npm test --silent

pytest: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

# Random and broken inputs, once a night: make fuzz FUZZ_SEED=7 tries others.
FUZZ_EXAMPLES ?= 10000
FUZZ_SEED ?= 0
fuzz: install
	OMP_NUM_THREADS=1 FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) FUZZ_SEED=$(FUZZ_SEED) $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal tests/fuzz

# Figures that the documentation quotes: JSON and a table in benchmarks/results/.
bench: install
	$(BIN)/python -m benchmarks

bench-labels: install
	$(BIN)/python -m benchmarks.labels

results: install
	$(BIN)/python -m pixelkin.experiments.results

# The wheel and the source archive, checked; then a new environment without the checkout, and the demo run there.
wheel: install
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/python -m twine check --strict dist/*

release: SHELL := bash
release: wheel
	rm -rf build/release && mkdir -p build/release
	cd build/release && time sh -euc '\
	  $(abspath $(BIN))/python -m venv environment; \
	  environment/bin/python -m pip install --quiet --constraint ../../requirements.lock "$$(ls ../../dist/*.whl)[web,demo]"; \
	  environment/bin/pixelkin demo; environment/bin/pixelkin doctor'

# The plugin for QGIS as its plugin manager installs it; its tests run in `make test` where there is a QGIS.
qgis:
	mkdir -p dist
	git archive --format zip --prefix pixelkin/ --output dist/pixelkin-qgis.zip HEAD:qgis/pixelkin

qgis-install:
	apt-get update -q && apt-get install -y -q --no-install-recommends qgis python3-qgis qgis-providers xvfb

# The lock file, from what is installed and tested. torch is named without its local label, which no registry knows.
lock:
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/^\(torch==[^+]*\)+.*/\1/' > requirements.lock

clean:
	rm -rf .venv build dist site
