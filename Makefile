# Sandpit. `make` alone lists what there is.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)
LOCK := $(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	--generate-hashes --no-header pyproject.toml
BENCHMARKS := $(wildcard benchmarks/*.py)

# What the user's shell says about Python is not meant for this checkout.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV

.DEFAULT_GOAL := help
.PHONY: help install start stop status logs test check format bench simulate lock clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

install: $(VENV)/installed .env ## Make the virtual environment and .env, unless they are there

start: install ## Start every process in the foreground; Ctrl-C ends them all
	@exec $(BIN)/python -m supervision start --attached

stop: install ## End what `make start` started, from another terminal
	@$(BIN)/python -m supervision stop

status: install ## One line a process: name, state, process id
	@$(BIN)/python -m supervision status

logs: install ## Follow all log files
	@exec $(BIN)/python -m supervision logs

test: $(VENV)/installed-dev ## Run the whole test suite; with COVERAGE=1 hold it to its coverage, too
	@$(BIN)/python -m pytest -n auto --dist worksteal $(if $(COVERAGE),--cov --cov-report=term) $(PYTEST_ARGS)

check: $(VENV)/installed-dev ## Format, lint, types and who imports whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports

format: $(VENV)/installed-dev ## Format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed-dev ## Run every benchmark, side by side with its peers
	@for benchmark in $(BENCHMARKS); do echo "== $$benchmark"; $(BIN)/python $$benchmark || exit 1; done

simulate: $(VENV)/installed ## Run the default market for a day of virtual time
	@$(BIN)/python -m simulation run $(SIMULATE_ARGS)

lock: $(VENV)/installed-dev ## Lock the dependencies of pyproject.toml anew, with their hashes
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## Remove the virtual environment and the caches; data, logs and .env stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.env:
	@cp .env_template .env

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and not found; install it, or say where it is: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is not Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making the virtual environment $(VENV) with $(PYTHON) ..." >&2
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/installed: requirements.lock | $(BIN)/python
	@echo "Installing the dependencies ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock | $(BIN)/python
	@echo "Installing the dependencies, those of development included ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/installed
