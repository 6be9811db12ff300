# Two commands need no set-up: `make demo` and `make test`. Everything else is for people who work on Fathom.

# The first that answers and is new enough: a version manager's shim may be there without its Python.
PYTHON ?= $(firstword $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p; done))
BIN := .venv/bin
FATHOM := $(BIN)/fathom
NO_PYTHON = Fathom needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.12 demo
export PYTHONUTF8 := 1
# Compiled modules are kept, also where the shell forbids it: else each process compiles thousands of files anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test check gpu lint vendor clean

demo: .venv/demo
	@$(BIN)/python tools/demo.py

test: .venv/dev
	@$(BIN)/python tools/run_tests.py

check: .venv/dev
	@$(BIN)/python tools/check.py

lint: .venv/dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

gpu: .venv/dev
	@$(BIN)/python -m pytest -q -m gpu -rs

# What the pages of `fathom learn` take from others. Needs Node 20 or newer, and a network; the result is committed.
vendor:
	@cd tools/vendor && npm ci --ignore-scripts --no-audit --no-fund && node build.mjs

# A stamp for each set of extras; pyproject.toml decides when it is old.
.venv/demo: pyproject.toml constraints.txt
	@$(or $(PYTHON),$(error $(NO_PYTHON))) tools/install.py demo

.venv/dev: pyproject.toml constraints.txt
	@$(or $(PYTHON),$(error $(NO_PYTHON))) tools/install.py dev

clean:
	rm -rf .venv build dist src/*.egg-info .ruff_cache .hypothesis
	find src tests tools benchmarks examples -name __pycache__ -prune -exec rm -rf {} +
