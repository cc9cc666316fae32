# Everything a newcomer needs on a machine with Python 3.11 or newer: `make demo` and `make test`.
# Both make their own virtual environment. You may set PYTHON, VENV, OUT and WORKERS.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
OUT ?= demo
# Processes that run tests.
WORKERS ?= 2
# For `make bench`: the folder with the images, names of benchmarks, 1 for a quick look.
DATA ?=
ONLY ?=
QUICK ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALLED_WHEEL := $(VENV)-wheel/.installed
INSTALLED_LOWEST := $(VENV)-lowest/.installed
SOURCES = pyproject.toml README.md $(shell find src -type f -not -name '*.pyc')

# TensorFlow and Material for MkDocs print notices at every start otherwise.
export TF_CPP_MIN_LOG_LEVEL ?= 3
export NO_MKDOCS_2_WARNING ?= 1

# Tests run in processes side by side; threads of theirs would wait for each other.
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 \
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# XLA optimizes models this small for longer than they train, and compiles the same programs in
# each process of the tests: keep them here.
JAX_CACHE := .jax_cache
QUICK_JAX := JAX_DISABLE_MOST_OPTIMIZATIONS=1 JAX_COMPILATION_CACHE_DIR="$(CURDIR)/$(JAX_CACHE)" \
	JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1

# Tests that run with the lowest versions: the whole API, then what leans on a dependency most.
TESTS_LOWEST := tests/test_documents.py tests/datasets tests/duplicates tests/evaluation tests/reports

# $(call tests,BACKEND,NAME): pytest on a Keras backend; writes .coverage-NAME.json.
tests = KERAS_BACKEND=$(1) SYNTHRAY_COUNTS="$(CURDIR)/.counts" $(ONE_THREAD) $(QUICK_JAX) \
	$(BIN)/python -m slipcover --json --out .coverage-$(2).json \
	-m pytest -n $(WORKERS) --dist worksteal --durations 10
# $(call covered,FILES,PERCENT): merge coverage, list it in .coverage.txt, print its total.
covered = $(BIN)/python -m slipcover --merge $(1) --out .coverage.json --fail-under $(2) \
	>.coverage.txt; status=$$?; tail -n 1 .coverage.txt; \
	echo "Coverage must be $(2) % or more; .coverage.txt lists the missing lines."; exit $$status

# $(call step,NAME): say what starts, and after how many seconds.
ifndef STARTED
export STARTED := $(shell date +%s)
endif
step = @printf '\n==> %s (after %d s)\n' '$(1)' "$$(($$(date +%s) - $(STARTED)))"

.DEFAULT_GOAL := help
.PHONY: help demo test test-all install dev lint types fast docs wheel lowest jax torch slow \
	properties counts coverage chromium docs-serve bench format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## Train the four arms on simulated radiographs; writes to demo/
	$(BIN)/python examples/quickstart.py --out $(OUT)

test: lint types fast ## Lint, types, the fast tests and README's code on TensorFlow: a few minutes

test-all: test ## Then all the rest; no test runs twice on the same inputs
	@# Each of these keeps one core busy.
	@$(MAKE) --no-print-directory -j2 docs wheel lowest
	@$(MAKE) --no-print-directory -j1 jax torch slow properties coverage counts

install: $(INSTALLED) ## Make the virtual environment and install the library

dev: $(INSTALLED_DEV) ## The same with the tools of `make test`

lint: $(INSTALLED_DEV) ## Check style and formatting
	$(call step,Lint)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED_DEV) ## Check types
	$(call step,Types)
	$(BIN)/mypy

fast: $(INSTALLED_DEV) ## Run the fast tests and README's code; 85 % of src must be covered
	$(call step,Fast tests on TensorFlow)
	@rm -rf .coverage-*.json .counts
	$(call tests,tensorflow,fast) -m "not slow"
	@$(call covered,.coverage-fast.json,85)

docs: $(INSTALLED_DEV) ## Build the documentation into site/; warnings are errors
	$(call step,Documentation)
	$(BIN)/mkdocs build --strict --quiet

wheel: $(INSTALLED_WHEEL) ## Run README's code on the wheel, in an environment without anything else
	$(call step,The wheel)
	$(ONE_THREAD) $(VENV)-wheel/bin/python .ci/wheel.py

lowest: $(INSTALLED_LOWEST) ## Run examples and tests with the lowest versions that pyproject.toml allows
	$(call step,Lowest versions)
	$(ONE_THREAD) KERAS_BACKEND=tensorflow \
		$(VENV)-lowest/bin/python -m pytest -W default -m "not slow" $(TESTS_LOWEST)

jax torch: $(INSTALLED_DEV) ## Run the backend suite on that Keras backend, if it is installed
	$(call step,The backend suite on $@)
	@if $(BIN)/python -c "import $@" 2>/dev/null; then \
		$(call tests,$@,$@) -m backend; \
	else \
		echo "skipped: $@ is not installed ($(BIN)/pip install -e '.[$@]')"; \
	fi

slow: $(INSTALLED_DEV) chromium ## Run the slow tests, the code in docs/ and the docstrings' examples
	$(call step,Slow tests on TensorFlow)
	$(call tests,tensorflow,slow) -m slow

properties: $(INSTALLED_DEV) ## Try many more inputs than the fast tests do
	$(call step,Properties)
	HYPOTHESIS_PROFILE=thorough $(call tests,tensorflow,properties) tests/properties

counts: ## Say how many inputs and faults the suites have tried
	@$(BIN)/python tests/helpers/counts.py .counts

coverage: ## Merge the coverage of all tests; 95 % of src must be covered
	@$(call covered,.coverage-*.json,95)

chromium: ## Install the browser that shows the report page to a test (as root, on Debian or Ubuntu)
	@if command -v chromium || command -v chromium-browser || command -v google-chrome; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get; then \
		apt-get update && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y --no-install-recommends chromium; \
	fi >/dev/null 2>&1 || echo "Chromium could not be installed: its test is skipped."

docs-serve: $(INSTALLED_DEV) ## Serve the documentation at http://127.0.0.1:8000
	$(BIN)/mkdocs serve

bench: $(INSTALLED_DEV) ## Measure speed against its peers; DATA=folder ONLY="name name" QUICK=1
	$(BIN)/python benchmarks/run.py $(if $(DATA),--data "$(DATA)") $(if $(ONLY),--only $(ONLY)) \
		$(if $(QUICK),--quick)

format: $(INSTALLED_DEV) ## Format the code and apply safe lint fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the virtual environments and everything that was built
	rm -rf $(VENV) $(VENV)-wheel $(VENV)-lowest build dist site demo .coverage* .counts .hypothesis \
		.mypy_cache .pytest_cache .ruff_cache $(JAX_CACHE)
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

$(INSTALLED_WHEEL): $(SOURCES)
	$(PYTHON) -m venv --clear $(VENV)-wheel
	rm -rf dist
	$(VENV)-wheel/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(VENV)-wheel/bin/python -m pip install --quiet dist/*.whl
	@touch $@

$(INSTALLED_LOWEST): pyproject.toml | $(INSTALLED_DEV)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)-lowest
	$(BIN)/uv pip install --quiet --python $(VENV)-lowest/bin/python --resolution lowest-direct \
		-e '.[dicom]' "hypothesis>=6.100" "pytest>=8.3" "sybil>=9"
	@touch $@
