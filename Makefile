# make run      the default experiment (creates .venv the first time)
# make test     all tests; installs what they talk to where it can (SERVICES=no declines)
# make lint     ruff and mypy: what .pre-commit-config.yaml runs before each commit
# make notebook run docs/notebook.ipynb again and keep its tables and figures
# make lock     renew requirements.lock from pyproject.toml

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install run test lint notebook lock clean

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

run: install
	$(BIN)/lookalike run

test: install
	$(BIN)/python -I -B tests/services.py
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

notebook: install
	$(BIN)/jupyter execute --inplace docs/notebook.ipynb

lock:
	test -x $(BIN)/pip-compile || ($(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet pip-tools)
	$(BIN)/pip-compile --quiet --strip-extras --allow-unsafe --all-extras --all-build-deps --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --constraint constraints.in --output-file requirements.lock pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+[a-z0-9]*/\1/' requirements.lock  # any build of that version will do

clean:
	rm -rf $(VENV) outputs multirun store mlruns/mlflow.db
