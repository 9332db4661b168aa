# The commands of a developer and an operator; `make` alone lists them.
VENV ?= .venv
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
BIN := $(VENV)/bin
SERVICES := intake fetcher importer janitor
WORKERS ?= auto
PARALLEL := -n $(WORKERS) --dist worksteal
# Else each worker, and each service that a test starts, compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run demo demo-chronox sql test test-slow test-integration coverage fuzz bench bench-live bench-sla lint fmt docs lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  %-18s %s\n", $$1, $$2}'

$(VENV)/.ready: requirements/dev.txt requirements/compiler.txt pyproject.toml $(wildcard services/importer/native/*.[ch])
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gexlake needs Python 3.11 or newer: install it, or say where it is: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian: python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m services.importer.native.build --find || { \
		echo "no C compiler works here: installing the one in the package ziglang (100 MB)"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/compiler.txt; }
	$(BIN)/python -m services.importer.native.build
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

run: $(VENV)/.ready ## Start nats-server and the four services in this terminal (Ctrl-C stops them)
	@$(BIN)/python -m deploy.preflight $(BIN)/python -m deploy.foreground start --env /dev/null

broker: $(VENV)/.ready ## Start nats-server alone in this terminal, for gexlake restore
	@$(BIN)/python -m deploy.preflight $(BIN)/python -m deploy.foreground start --env /dev/null nats

demo: $(VENV)/.ready ## Bring one generated trading day through the whole system and show what landed
	@$(BIN)/python -m simulator.demo

demo-chronox: $(VENV)/.ready ## Bring minute bars in by history, snapshot and stream, and fill the gaps
	@$(BIN)/python -m simulator.demo.chronox

# By way of the environment: whatever quotes and dollars the query has, no shell reads them.
sql: export QUERY := $(value Q)
sql: $(VENV)/.ready ## Query the lake: make sql Q="SELECT ..." [FORMAT=json]
	@$(BIN)/gexlake sql --format "$(or $(FORMAT),table)" -- "$$QUERY"

test: $(VENV)/.ready ## Run the quick tests, without containers, on all cores [WORKERS=3]
	$(BIN)/pytest $(PARALLEL) -m "not slow"

test-slow: $(VENV)/.ready ## Run the tests with large files, random kills and full disks, and properties in full [WORKERS=3]
	HYPOTHESIS_PROFILE=full $(BIN)/pytest $(PARALLEL) -m "slow or hypothesis"

test-integration: $(VENV)/.ready ## Run the container tests on compose.yaml, and Schemathesis against OpenAPI
	$(BIN)/pytest tests/e2e

coverage: $(VENV)/.ready ## Run the quick and the slow tests, and print which lines and branches they cover [WORKERS=3]
	$(BIN)/coverage erase
	HYPOTHESIS_PROFILE=full $(BIN)/coverage run -m pytest $(PARALLEL)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered
	@$(BIN)/coverage json --quiet -o - | $(BIN)/python -c 'import json, sys; of = json.load(sys.stdin)["totals"]; \
		print("lines %.2f %%, branches %.2f %%" % (100 * of["covered_lines"] / of["num_statements"], 100 * of["covered_branches"] / of["num_branches"]))'

$(VENV)/.fuzz: requirements/fuzz.txt $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@touch $@

fuzz: $(VENV)/.fuzz ## Compare imports with the oracle: 10,000 examples, sanitizers in the reader, then atheris (Linux, gcc) [FUZZ_SECONDS=600]
	HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest --timeout=0 tests/unit/importer/imports/test_properties.py
	$(BIN)/python -m tests.fuzz.sanitized
	$(BIN)/python -m tests.fuzz $(or $(FUZZ_SECONDS),600)

bench: $(VENV)/.ready ## Measure importer and fetcher: make bench [ONLY="import lake"] [RUNS=5]
	@$(BIN)/python -m bench.run $(if $(ONLY),--only $(ONLY)) $(if $(RUNS),--runs $(RUNS))

LOAD := build/load-venv

$(LOAD)/.ready: requirements/load.txt
	$(or $(PYTHON),python3) -m venv $(LOAD)
	$(LOAD)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/load.txt
	@touch $@

bench-live: $(VENV)/.ready $(LOAD)/.ready ## Measure live payloads under load: make bench-live [ONLY="load history rates"] [RATE=300] [SECONDS=60] [CLIENTS=16]
	@$(BIN)/python -m bench.live --locust $(LOAD)/bin/locust --rate $(or $(RATE),300) --seconds $(or $(SECONDS),60) \
		--clients $(or $(CLIENTS),16) $(if $(ONLY),--only $(ONLY))

bench-sla: $(VENV)/.ready ## Measure promises under a flood of 5,000 jobs, with and without priorities [JOBS=500] [MINUTES=1]
	@$(BIN)/python -m bench.sla $(if $(JOBS),--jobs $(JOBS)) $(if $(MINUTES),--minutes $(MINUTES))

lint: $(VENV)/.ready ## Check style, types, layers, spelling, shell scripts and C; rewrite nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/shellcheck .ci/run .ci/nats-cli deploy/nats-server deploy/nats-health deploy/url-keys
	$(BIN)/clang-format --dry-run -Werror services/importer/native/*.[ch]

fmt: $(VENV)/.ready ## Rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i services/importer/native/*.[ch]

DOCS := build/docs-venv

$(DOCS)/.ready: requirements/docs.txt
	$(or $(PYTHON),python3) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@touch $@

docs: $(DOCS)/.ready ## Build the documentation as a site in build/site; broken links are errors
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet
	@echo "build/site/index.html"

lock: $(VENV)/.ready ## Recompile the pinned requirements, with hashes and without index addresses
	@for extra in $(SERVICES) dev docs fuzz load; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
			--no-header --extra $$extra --output-file requirements/$$extra.txt pyproject.toml; done
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header --output-file requirements/cli.txt pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header --group compiler --output-file requirements/compiler.txt

clean: ## Remove the virtual environments, build results and caches (never data/)
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* *.egg-info
