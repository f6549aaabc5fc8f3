# Everything runs in a virtual environment of its own; Python 3.11 or newer and make are all it needs.
# The distribution's, if it is new enough and can make an environment: it is built with profile-guided optimisation, and
# does the same in a ninth less time than one that was compiled without. Else whichever comes first.
PYTHON ?= $(shell /usr/bin/python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo /usr/bin/python3 || echo python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FUZZ_VENV ?= .venv-fuzz
FUZZ_STAMP := $(FUZZ_VENV)/.installed
SECONDS ?= 60
MINUTES ?= 30
# Tests start hundreds of processes: modules are compiled once for all of them, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-browser test-postgresql crash drill drill-upgrade soak check check-security check-release notices sbom format revision bench bench-national fuzz docs docs-serve lock clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sr_engine needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) of $(PYTHON): once, a minute or so."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## run the main job end to end on a small synthetic country
	$(BIN)/sr-engine demo

test: $(STAMP) ## all tests but the slow ones; ARGS="..." goes to pytest
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" $(ARGS)

test-all: $(STAMP) ## all tests, the slow ones too
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-browser: $(STAMP) ## journeys through the console in a real Chromium, with screenshots in test-output
	SR_ENGINE_TEST_OUTPUT=test-output $(BIN)/python -m pytest -n auto --dist worksteal -m browser $(ARGS)

test-postgresql: $(STAMP) ## the same on a PostgreSQL that it brings and starts itself
	SR_ENGINE_TEST_DATABASE=postgresql $(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" $(ARGS)

crash: $(STAMP) ## kill processes and the database server at named points under load; ARGS="--kills 500 --seed 1"
	$(BIN)/python -m tests.crash $(ARGS)

soak: $(STAMP) ## everything at once for MINUTES (30), processes killed at random; ends with soak-report.html
	$(BIN)/python -m tests.soak $(MINUTES) $(ARGS)

drill: $(STAMP) ## restart all under load, lose it, restore it, and say what was lost and how long it took; ARGS="--engine postgresql"
	$(BIN)/python -m tests.drill $(ARGS)

drill-upgrade: $(STAMP) ## upgrade processes of the first release under load, and judge what came of it; ARGS="--engine postgresql --way killed"
	$(BIN)/python -m tests.upgrade $(ARGS)

check: $(STAMP) ## lint, formatting, types, import directions, known weaknesses of the dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.security.dependencies

check-security: $(STAMP) ## the last of these alone; offline it says that it could not look, and passes
	$(BIN)/python -m tests.security.dependencies $(ARGS)

check-release: $(STAMP) ## build wheel and source distribution into dist/, install and try them on each Python; ARGS="--no-demo"
	$(BIN)/python -m tests.release $(ARGS)

notices: $(STAMP) ## write docs/third-party.md anew: the licences of what is needed to run
	$(BIN)/python -m tests.release.notices

sbom: $(STAMP) ## the bill of materials of what is shipped, in CycloneDX: sbom.json
	$(BIN)/python -m tests.security.sbom sbom.json

format: $(STAMP) ## mend lint and formatting where that is mechanical
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

revision: $(STAMP) ## write the next revision of the schema, for what the tables have new; NAME="what it does"
	$(BIN)/python -m tests.migrations.new_revision "$(NAME)"
	$(BIN)/ruff format --quiet sr_engine/migrations

bench: $(STAMP) ## measure; prints a table and writes bench-report.json
	$(BIN)/python -m tests.bench

bench-national: $(STAMP) ## a release for 15 million hubs on PostgreSQL, an hour and 63 GB; ARGS="--hubs N --nights N"
	$(BIN)/python -m tests.bench.national $(ARGS)

$(FUZZ_STAMP): requirements-fuzz.lock
	$(PYTHON) -m venv $(FUZZ_VENV)
	$(FUZZ_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	@touch $@

fuzz: $(FUZZ_STAMP) ## look for what signing lets through, SECONDS long (60)
	$(FUZZ_VENV)/bin/python -m tests.fuzz $(SECONDS)

docs: $(STAMP) ## build the documentation's site into site/, refusing whatever does not lead anywhere
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

docs-serve: $(STAMP) ## the same at http://127.0.0.1:8000, built anew whenever a page changes
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

lock: $(STAMP) ## resolve the pinned versions anew; `make notices` follows, once they are installed
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --extra dev --upgrade \
		--custom-compile-command 'make lock' pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --extra fuzz --upgrade \
		--custom-compile-command 'make lock' pyproject.toml -o requirements-fuzz.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --constraint requirements.lock \
		--custom-compile-command 'make lock' pyproject.toml -o requirements-run.lock

clean: ## remove what was made
	rm -rf $(VENV) $(FUZZ_VENV) .fuzz build dist site *.egg-info bench-report.json bench-national.json soak-report.html soak-report.json sbom.json .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
