# Everything a newcomer needs on a machine with Python 3.11 or newer: `make demo` and `make test`.
# Both make their own virtual environment. Overridable: PYTHON, VENV, OUT, WORKERS.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
OUT ?= demo
# Keras backends that `make backends` tests, where they are installed.
BACKENDS ?= tensorflow jax torch
# For `make bench`: the folder with the images, names of single benchmarks, 1 for little work.
DATA ?=
ONLY ?=
QUICK ?=
# Processes that run tests; the blocks of one document stay together.
WORKERS ?= 2

# Tests run in processes side by side; threads of theirs would wait for each other.
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 \
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# XLA optimizes models this small for longer than they train, and would compile the same programs
# in each process of the tests: it keeps them here.
JAX_CACHE := .jax_cache
QUICK_JAX := JAX_DISABLE_MOST_OPTIMIZATIONS=1 JAX_COMPILATION_CACHE_DIR="$(CURDIR)/$(JAX_CACHE)" \
	JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1

BIN := $(VENV)/bin
COVERAGE := .coverage.json
COVERAGE_JAX := .coverage-jax.json
CODE := .
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev

# TensorFlow and Material for MkDocs print notices at every start otherwise.
export TF_CPP_MIN_LOG_LEVEL ?= 3
export NO_MKDOCS_2_WARNING ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test install dev lint types unit docs docs-serve backends bench format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## Train the four arms on simulated radiographs; writes to demo/
	$(BIN)/python examples/quickstart.py --out $(OUT)

test: BACKENDS = jax torch # `unit` has run all tests on TensorFlow
test: lint types unit docs backends ## Lint, types, tests with coverage, docs, every installed backend

install: $(INSTALLED) ## Make the virtual environment and install the library

dev: $(INSTALLED_DEV) ## The same with the tools of `make test`

lint: $(INSTALLED_DEV) ## Check style and formatting
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: $(INSTALLED_DEV) ## Check types
	$(BIN)/mypy

unit: $(INSTALLED_DEV) ## Run the tests, the docs' code and the docstring examples; measure coverage
	@# In the order of `testpaths`: docstrings, which are short, end it on all workers at once.
	KERAS_BACKEND=tensorflow $(ONE_THREAD) $(QUICK_JAX) \
		$(BIN)/python -m slipcover --json --out $(COVERAGE) \
		-m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=15
	@# What is of JAX alone.
	KERAS_BACKEND=jax $(ONE_THREAD) $(QUICK_JAX) \
		$(BIN)/python -m slipcover --json --out $(COVERAGE_JAX) \
		-m pytest tests/test_stacking.py -q -n $(WORKERS)
	@# Apart: in one call it would judge what both workers saw, and show what neither did.
	$(BIN)/python -m slipcover --merge $(COVERAGE) $(COVERAGE_JAX) --out $(COVERAGE) --fail-under 95

docs: $(INSTALLED_DEV) ## Build the documentation into site/; warnings are errors
	$(BIN)/mkdocs build --strict --quiet

backends: $(INSTALLED_DEV) ## Run the backend suite once for each installed Keras backend
	@tested=; absent=; \
	for backend in $(BACKENDS); do \
		if ! $(BIN)/python -c "import importlib.util as u, sys; sys.exit(u.find_spec('$$backend') is None)"; then \
			absent="$$absent\n  skipped: $$backend is not installed (pip install -e '.[$$backend]')"; \
			continue; \
		fi; \
		echo "Keras backend: $$backend"; \
		KERAS_BACKEND=$$backend $(ONE_THREAD) $(QUICK_JAX) \
			$(BIN)/python -m pytest tests -q -m backend -n $(WORKERS) || exit 1; \
		tested="$$tested $$backend"; \
	done; \
	printf "Keras backends tested:$$tested$$absent\n"

docs-serve: $(INSTALLED_DEV) ## Serve the documentation at http://127.0.0.1:8000
	$(BIN)/mkdocs serve

bench: $(INSTALLED_DEV) ## Measure speed against its peers; DATA=folder ONLY="name name" QUICK=1
	$(BIN)/python benchmarks/bench.py $(if $(DATA),--data "$(DATA)") $(if $(ONLY),--only $(ONLY)) \
		$(if $(QUICK),--quick)

format: $(INSTALLED_DEV) ## Format the code and apply safe lint fixes
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

clean: ## Remove the virtual environment and everything that was built
	rm -rf $(VENV) build dist site demo $(COVERAGE) $(COVERAGE_JAX) .mypy_cache .pytest_cache .ruff_cache \
		$(JAX_CACHE)
	find src tests examples benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamp files: a second `make` installs nothing unless pyproject.toml has changed.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found; pass PYTHON=path" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"synthray needs Python 3.11 or newer; $(PYTHON) is {v[0]}.{v[1]}. Pass PYTHON=path.")'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

# Dependency groups (PEP 735) need pip 25.1.
$(INSTALLED_DEV): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet -e . --group dev
	@touch $@ $(INSTALLED)
