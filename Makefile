# `make up` runs everything on a laptop, `make check` passes the tests; both install what they need into .venv.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

.PHONY: up demo check test format clean dynamodb-local

up: $(VENV)/.installed
	@exec $(RUN)/python -m local up

demo: $(VENV)/.installed
	@exec $(RUN)/python -m local demo

check: $(VENV)/.installed dynamodb-local
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/python -m pytest --numprocesses=2 --dist=loadfile

test: $(VENV)/.installed dynamodb-local
	$(RUN)/python -m pytest --numprocesses=2 --dist=loadfile

# AWS's own DynamoDB Local, fetched once; where it cannot be had the tests that need it are skipped, and say so.
dynamodb-local: $(VENV)/.installed
	@$(RUN)/python -m tests.backends.dynamodb_local

format: $(VENV)/.installed
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.installed: requirements.txt requirements-dev.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	touch $@
