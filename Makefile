# Every target sets up what it needs itself, with pip from a hashed lock. `make` alone lists them.
SHELL := /bin/bash
.DELETE_ON_ERROR:
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
TORCH := torch==2.13.0

.PHONY: help demo test check test-server test-wan soak bench golden lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(VENV)/.run: infra/requirements.lock pyproject.toml
	@echo "setting up $(VENV) (about four minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes --no-deps -r infra/requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run infra/requirements-dev.lock
	@$(PIP) --require-hashes --no-deps -r infra/requirements-dev.lock
	@touch $@

demo: $(VENV)/.run ## make the example programme, and print where it is
	@$(BIN)/troupe produce examples/demo/episode.yaml --store file:store --direct

$(VENV)/.models: $(VENV)/.run tasks/engines/model_files.py
	@$(BIN)/troupe doctor --fetch > /dev/null
	@touch $@

test: $(VENV)/.dev $(VENV)/.models ## fast tests, then those on real data where it lies beside the project
	@$(BIN)/python -m pytest -q

check: $(VENV)/.dev ## format, lint, types, import rules, file lengths
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest -q tests/rules

test-server: $(VENV)/.dev $(VENV)/.models ## tests with real servers here: object store, Prefect, PostgreSQL, Redis, workers that die
	@infra/test-servers.sh
	@$(BIN)/python -m pytest -q -rs -m "server or faults"

.venv-wan/.done: infra/requirements-gpu.lock
	@echo "setting up .venv-wan (torch first, by its version; the rest with hashes)"
	@test -x .venv-wan/bin/python || $(PYTHON) -m venv .venv-wan
	@.venv-wan/bin/python -m pip install --quiet --disable-pip-version-check --no-input $(TORCH)
	@.venv-wan/bin/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps -r infra/requirements-gpu.lock
	@.venv-wan/bin/python -m pip check
	@touch $@

test-wan: .venv-wan/.done ## tests of Wan2.2-S2V on the CPU, in an environment of their own with torch
	@OMP_NUM_THREADS=1 .venv-wan/bin/python -m pytest -q -m "wan and not gpu" tests/s2v_model/wan

soak: $(VENV)/.dev $(VENV)/.models ## a whole site with PostgreSQL, Redis and workers that are killed; never in CI
	@infra/test-servers.sh
	@SOAK=1 $(BIN)/python -m pytest -q -m faults

bench: $(VENV)/.dev ## make bench NAME=diarize ARGS="FOLDER": one row a case, quality beside cost
	@$(BIN)/python tests/bench/bench_$(NAME).py $(ARGS)

golden: $(VENV)/.dev ## make golden NAME=captions.vtt: one kept text anew; refuses where a REVISION should have changed
	@$(BIN)/python -m tests.golden.texts $(NAME)

lock: $(VENV)/.dev ## resolve anew and write the locks
	@infra/lock.sh $(BIN)/python

clean: ## remove what make has set up; stores and model files stay
	@rm -rf $(VENV) .venv-wan build *.egg-info
