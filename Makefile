# make demo   the whole pipeline on synthetic faces      make test   the unit tests
# make check  formatter, linter, types, architecture     make test-slow / test-integration   the other lanes
PYTHON ?= python3.11
BIN := .venv/bin
HOME_DIR ?= .fer

.PHONY: demo test test-slow test-integration check clean

demo: .venv/ready
	$(BIN)/python -m flows retrain --home $(HOME_DIR)
	@echo
	@echo "MLflow: $(BIN)/mlflow server --backend-store-uri sqlite:///$(HOME_DIR)/mlflow/mlflow.db --port 5000"

test: .venv/ready
	$(BIN)/python -m pytest

test-slow: .venv/ready
	$(BIN)/python -m pytest -m slow --timeout 600

test-integration: .venv/ready
	$(BIN)/python -m pytest -m integration --timeout 600

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

.venv/ready: requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
