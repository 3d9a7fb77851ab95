# Everything starts here: `make` tells what there is.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Tests run in two processes: what starts whole systems in one, all else in the other (tests/conftest.py).
# TEST_PROCESSES=0 takes this one alone, TESTS=tests/core only some.
TEST_PROCESSES ?= 2
TESTS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run doctor test check lock bench chaos screenshots clean

help: ## Tell what can be made
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make the environment in .venv

run: $(INSTALLED) ## Run everything on this machine, the two vendors simulated
	@exec $(BIN)/python -m local

doctor: $(INSTALLED) ## Check the whole installation, and say what mends what is amiss
	@exec $(BIN)/python -m local.doctor

test: $(INSTALLED) ## Run all tests
	@exec $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup $(TESTS)

check: $(INSTALLED) ## Check style, types and who imports whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: $(INSTALLED) ## Pin the requirements anew, after a change of an .in file
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url requirements.in --output-file requirements.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url requirements-dev.in --output-file requirements-dev.txt

bench: $(INSTALLED) ## Measure how much the service takes and how fast
	@exec $(BIN)/python -m bench

chaos: $(INSTALLED) ## Break everything under load, and count who was lost or doubled
	@exec $(BIN)/python -m bench.chaos

screenshots: $(INSTALLED) ## Make the pictures in docs/screenshots
	@exec $(BIN)/python -m bench.screenshots

clean: ## Remove the environment and caches; what was kept in var/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The installed requirements are kept as a copy, so that only a changed text installs anew, and no mere date.
$(INSTALLED): requirements-dev.txt
	@cmp -s requirements-dev.txt $(INSTALLED) || { \
	  command -v "$(PYTHON)" > /dev/null || { \
	    echo "Referloop needs Python 3.11 or later, and there is no $(PYTHON) here. Set PYTHON=…" >&2; exit 1; }; \
	  "$(PYTHON)" local/check_python.py "$(PYTHON)" \
	  && echo "Installing what Referloop needs into $(VENV) (once, about a minute)" \
	  && "$(PYTHON)" -m venv $(VENV) \
	  && $(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt \
	  && cp requirements-dev.txt $(INSTALLED); }
	@touch $(INSTALLED)
