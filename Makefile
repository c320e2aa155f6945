# The menu. Each command sets up what it needs first; the work is in tools/.
#
#   PYTHON=python3.13   the interpreter that a new environment is made with
#   VENV=.venv          the environment

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup run test lint stubs format conformance suites bench bench-quick bench-pythons docs wheel clean

VENV ?= .venv
export VENV
ifdef PYTHON
export PYTHON
endif

APP ?=
FOLDER ?=
ALBUM ?=
# By the environment, so that no character of a name means anything to the shell.
export FOLDER ALBUM
ARGS ?=
ONLY ?=
PYTHONS ?= 3.13 3.14
# A results page shows all rows and loops, measured in full.
BENCH_PAGE = $(if $(ONLY)$(filter --only% --quick --loops%,$(ARGS)),,--page docs/benchmarks)

help: ## list the commands
	@printf 'Batuta: asyncio'"'"'s event loop, re-implemented in Rust\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
	@printf '\nPYTHON=python3.13 chooses the interpreter of a new environment, VENV=path its place.\n'

setup: ## make the environment and build Batuta into it
	@tools/setup.sh

run: ## build, upload 200 pictures to a local service; FOLDER=.. ALBUM=.. yours; APP=path.py a program
ifneq ($(strip $(APP)),)
	@tools/setup.sh
	@$(VENV)/bin/batuta $(APP) $(ARGS)
else ifneq ($(strip $(FOLDER)),)
	@tools/setup.sh photos
	@$(VENV)/bin/batuta-photos upload "$$FOLDER" $${ALBUM:+"$$ALBUM"} $(ARGS)
else
	@tools/setup.sh photos
	@$(VENV)/bin/batuta-photos demo --compare $(ARGS)
endif

test: ## build and run all tests; ARGS="-k name" is for pytest
	@tools/setup.sh test
	@tools/test.sh $(ARGS)

lint: ## rustfmt, clippy, ruff, mypy and stubtest
	@tools/setup.sh lint
	@tools/lint.sh

stubs: ## check the stubs against the module of this Python, which `make lint` does as well
	@tools/setup.sh lint
	@$(VENV)/bin/python -m mypy.stubtest --concise batuta._batuta

format: ## let rustfmt and ruff put the code in order
	@tools/setup.sh lint
	@cargo fmt --all && $(VENV)/bin/ruff check --quiet --fix . ; $(VENV)/bin/ruff format .

conformance: ## run CPython's own asyncio tests on Batuta; ARGS="--files test_tasks" for a part
	@tools/setup.sh
	@$(VENV)/bin/python -m tests.conformance $(or $(strip $(ARGS)),--all)

suites: ## other projects' tests on asyncio and on Batuta; ONLY="anyio janus" for a few
	@tools/setup.sh test
	@$(VENV)/bin/python -m tests.suites $(ONLY) $(ARGS)

bench: ## measure against other event loops, side by side, into docs/benchmarks; ONLY=tls,timers for a few rows, on the screen
	@tools/setup.sh bench
	@$(VENV)/bin/python -m benches --json build/bench/last.json $(if $(ONLY),--only '$(ONLY)') $(BENCH_PAGE) $(ARGS)

bench-quick: ## a few rows with little work in about three minutes: a first look, nothing to quote
	@tools/setup.sh bench
	@$(VENV)/bin/python -m benches --json build/bench/last.json --quick $(if $(ONLY),--only '$(ONLY)') $(ARGS)

bench-pythons: ## the whole suite on several Pythons, one table each; PYTHONS="3.13 3.14"
	@tools/bench-pythons.sh $(PYTHONS) -- $(if $(ONLY),--only '$(ONLY)') $(ARGS)

docs: ## check the links and the Python examples of the documentation
	@tools/setup.sh
	@$(VENV)/bin/python tools/check_docs.py

wheel: ## build a wheel for this Python into build/wheels
	@tools/setup.sh
	@$(VENV)/bin/maturin build --release --quiet --interpreter $(VENV)/bin/python --out build/wheels
	@ls build/wheels

clean: ## remove the environment and everything that was built
	@rm -rf $(VENV) target build python/batuta/*.so
	@find . -name __pycache__ -prune -exec rm -rf {} +
	@rm -rf .pytest_cache .mypy_cache .ruff_cache
