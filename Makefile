# Seodang's commands. `make demo` and `make test` install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
export SEODANG_VAR ?= $(CURDIR)/var

.PHONY: demo stop run test check fix bench screenshots

$(STAMP): requirements.txt requirements-dev.txt client/pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Python packages"
	@$(BIN)/pip install --quiet uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt -r requirements-dev.txt -e ./client
	@touch $@

demo: $(STAMP)
	@$(BIN)/python deploy/demo.py $(if $(DETACH),--detach)

stop:
	@$(BIN)/python deploy/demo.py --stop

run: $(STAMP)
	@$(BIN)/python deploy/demo.py --no-class

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PYTHONPATH=platform $(BIN)/mypy runner courses platform/hub deploy
	MYPYPATH=client/src $(BIN)/mypy -p seodang -p nsml
	PYTHONPATH=platform $(BIN)/lint-imports

fix: $(STAMP)
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

$(VENV)/mlflow2/.stamp: requirements-mlflow2.txt $(STAMP)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/mlflow2
	@$(BIN)/uv pip install --quiet --python $(VENV)/mlflow2/bin/python -r requirements-mlflow2.txt
	@touch $@

test: $(STAMP) $(VENV)/mlflow2/.stamp
	@$(BIN)/python deploy/host.py --tests
	$(BIN)/python platform/hub/database.py start
	$(BIN)/pytest tests

bench: $(STAMP)
	@$(BIN)/python -m bench $(FIGURES)
screenshots: $(STAMP)
	@$(BIN)/python deploy/host.py --tests
	@$(BIN)/python deploy/screenshots.py
