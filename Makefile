# The two commands of the README, each making what it needs in .venv, and the checks that a change must pass.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: run test check fix kernels bench clean

run: $(VENV)/.run
	@$(BIN)/kprobesim

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto

check: $(VENV)/.dev
	$(BIN)/ruff check kprobesim tests benchmarks kernels
	$(BIN)/ruff format --check kprobesim tests benchmarks kernels
	@for platform in linux darwin win32; do \
	  $(BIN)/mypy --platform $$platform --cache-dir .mypy_cache/$$platform || exit 1; \
	done
	$(BIN)/lint-imports

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix kprobesim tests benchmarks kernels
	$(BIN)/ruff format kprobesim tests benchmarks kernels

kernels: $(VENV)/.dev
	$(BIN)/python kernels/build.py

bench: $(VENV)/.dev
	@for program in benchmarks/bench_*.py; do $(BIN)/python $$program || exit 1; done

$(VENV)/.run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV) build dist
