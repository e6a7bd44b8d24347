# `make` alone lists the targets. They work in .venv, which `setup` makes from requirements.lock and keeps up to date.

PYTHON ?= python3
PYTEST_ARGS ?=
LOCK_ARGS ?=
BENCH_ARGS ?=
BIN := .venv/bin
READY := .venv/.project

# Where it is set, each start of a worker or a command would compile the whole project: a third more processor time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo board up test check bench truth arq-suite containers chaos soak fuzz mutants docs wheel release lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /:/' | awk -F: '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## Make .venv, fetch Redis, find or install a browser
	@ops/setup/programs.sh

demo: setup ## Scan a sample shop through the queue and show what was found
	@$(BIN)/python ops/demo/run.py

board: setup ## Show the demo's results in the browser, until Ctrl-C; BOARD_ARGS="--port 9000"
	@$(BIN)/python ops/demo/board.py $(BOARD_ARGS)

up: setup ## Run a Redis of its own, if REDIS_URL names none, and workers, until Ctrl-C
	@$(BIN)/sightline up

test: $(READY) ## Run all tests; PYTEST_ARGS="tests/unit -k name" runs some
	@ops/setup/programs.sh tests || echo "setup: continuing without it; tests that need it are skipped, or fail if CI is set"
	@ops/setup/tests.sh $(PYTEST_ARGS)

check: $(READY) ## Lint, format, types, import contracts, shell, deployment files, no addresses in lock and build files
	@ops/setup/check.sh

bench: setup ## Measure queue, scans, GPU pool and memories beside their peers; BENCH_ARGS="drain submit" runs some rows
	@$(BIN)/python ops/bench/run.py $(BENCH_ARGS)

truth: setup ## Compare what is found with what bare axe-core finds on the same pages; PAGES=DIR, or a list of addresses
	@PYTHONPATH=. $(BIN)/python ops/truth/run.py $(or $(PAGES),ops/demo/site) $(TRUTH_ARGS)

arq-suite: setup ## Run arq's own tests on sightline.arq, and compare with the differences that docs/arq.md has; about a minute
	@$(BIN)/python ops/arq_suite/run.py

containers: setup ## Run docker-compose.yml and the runbook's procedures for real; ROWS="up kills" runs some, CACHE=DIR keeps layers
	@$(BIN)/python ops/containers/run.py $(if $(CACHE),--cache $(CACHE)) $(ROWS)

chaos: setup ## Break everything at once and count what was lost; MINUTES=10 SEED=1
	@$(BIN)/python ops/chaos/run.py --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

soak: setup ## Look for what grows under a steady load; MINUTES=15
	@$(BIN)/python ops/chaos/soak.py --minutes $(or $(MINUTES),15)

mutants: setup ## Break one promise, then one random line, at a time and see that the tests notice; RANDOM=10 SEED=7 JOBS=2
	@$(BIN)/python -m tests.mutants.run --random $(or $(RANDOM),10) $(if $(SEED),--seed $(SEED)) --jobs $(or $(JOBS),2) $(MUTANTS_ARGS)

fuzz: $(READY) ## Try every parser of foreign text, and all reports, with made-up input; MINUTES=5
	@$(BIN)/python tests/fuzz/run.py --minutes $(or $(MINUTES),5)

docs: ## Build the documentation in site/; a dead link fails
	@ops/setup/docs.sh "$(PYTHON)"

wheel: $(READY) ## Build the wheel that hints and docs name, in dist/
	@rm -rf build
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --wheel-dir dist .
	@ls dist/*.whl

release: ## Say what a release would do; VERSION=0.2.0, and DO=1 does it: version, changelog, commit, tag, wheel
	@$(PYTHON) ops/release.py '$(VERSION)' $(if $(DO),--do)

lock: ## Pin all dependencies in requirements.lock and the images' locks; LOCK_ARGS=--upgrade takes newer versions
	@ops/setup/lock.sh "$(PYTHON)" $(LOCK_ARGS)

clean: ## Remove .venv and all caches of this folder
	rm -rf .venv .cache site .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.packages: requirements.lock
	@ops/setup/packages.sh "$(PYTHON)"
	@touch $@

$(READY): .venv/.packages pyproject.toml
	@ops/setup/project.sh
	@touch $@
