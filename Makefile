# make demo   the whole pipeline on synthetic faces      make test   the unit tests
# make check  formatter, linter, types, architecture     make test-slow / test-integration   the other lanes
# make bench  timings beside the peers; KDEF=FOLDER, FERPLUS=FOLDER, LFW=FOLDER add those on real faces
# make up     a cluster on this machine by Docker; SOURCES=FOLDER is seen in it as /sources, read-only
# make down   stop it; its volumes stay; `docker compose --file infra/compose.yaml down --volumes` removes them
PYTHON ?= python3.11
BIN := .venv/bin
TWO := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
HOME_DIR ?= .fer
SOURCES ?= .sources
SECRETS := MINIO_PASSWORD RAY_AUTH_TOKEN PREFECT_PASSWORD PREFECT_DB_PASSWORD REDIS_PASSWORD MLFLOW_PASSWORD MLFLOW_DB_PASSWORD MLFLOW_SECRET_KEY

.PHONY: demo test test-slow test-integration check bench up down clean

demo: .venv/ready
	$(BIN)/python -m flows retrain --home $(HOME_DIR)
	@echo
	@echo "MLflow: MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow server --backend-store-uri sqlite:///$(HOME_DIR)/mlflow/mlflow.db --port 5000"
	@echo "then    http://127.0.0.1:5000/#/experiments/1?workflowType=machine_learning"

test: .venv/ready
	$(TWO) -rs

test-slow: .venv/ready
	$(TWO) -m slow --timeout 600 -rs

# Whole commands side by side; then engines, whose failures are told by what is not answered in time.
test-integration: .venv/ready
	$(TWO) -m integration --timeout 600 -rs tests/fer_core tests/tasks tests/flows
	$(BIN)/python -m pytest -m integration --timeout 600 -rs tests/infra tests/cluster

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

bench: .venv-bench/ready
	.venv-bench/bin/python -m benchmarks.five_tuples
	.venv-bench/bin/python -m benchmarks.reading
	.venv-bench/bin/python -m benchmarks.cropping
	.venv-bench/bin/python -m benchmarks.scale
	.venv-bench/bin/python -m benchmarks.ingest --memory 10000 100000
ifdef KDEF
	$(MAKE) .venv-detector/ready
	.venv-bench/bin/python -m benchmarks.face_detection $(KDEF) --people 70 --peer-python .venv-detector/bin/python
	.venv-bench/bin/python -m benchmarks.ingest --dataset kdef --source $(KDEF)
endif
ifdef FERPLUS
	.venv-bench/bin/python -m benchmarks.ingest --dataset ferplus --source $(FERPLUS)
endif
ifdef LFW
	.venv-bench/bin/python -m benchmarks.identity_clusters --lfw $(LFW) $(if $(KDEF),--kdef $(KDEF))
endif

up: infra/.env
	mkdir -p $(SOURCES)
	docker compose --file infra/compose.yaml build
	FER_SOURCES=$(abspath $(SOURCES)) docker compose --file infra/compose.yaml up --detach --wait

down:
	docker compose --file infra/compose.yaml down

# Made once: the databases keep the passwords they were made with.
infra/.env:
	umask 077; for name in $(SECRETS); do echo "$$name=$$(od -vAn -N32 -tx1 /dev/urandom | tr -d ' \n')"; done > $@.new
	mv $@.new $@

.venv-bench/ready: requirements.txt constraints.txt benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/requirements.txt
	touch $@

.venv-detector/ready: benchmarks/detector-requirements.txt
	$(PYTHON) -m venv .venv-detector
	.venv-detector/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/detector-requirements.txt
	touch $@

.venv/ready: requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

clean:
	rm -rf .venv .venv-bench .venv-detector .pytest_cache .mypy_cache .ruff_cache
