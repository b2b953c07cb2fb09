# Everything a person types. `make demo` and `make test` do their own set-up on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MARK := $(VENV)/.installed

.PHONY: setup demo test check format bench chaos screens lock clean

setup: $(MARK)

$(MARK): requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dex needs Python 3.11 or newer; name one: make setup PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $(MARK)

demo: setup
	$(BIN)/python manage.py demo

test: setup
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	$(BIN)/python manage.py bench orchestration --size 1000
	$(BIN)/python manage.py bench orchestration --size 10000
	$(BIN)/python manage.py bench dbt --size 100
	$(BIN)/python manage.py bench dbt --size 500
	$(BIN)/python manage.py bench select --size 5000
	$(BIN)/python manage.py bench pages --size 2000
	$(BIN)/python manage.py bench pages --size 5000
	$(BIN)/python manage.py bench schedule --size 500
	$(BIN)/python manage.py bench logs --size 1024
	$(BIN)/python manage.py bench scripts --size 20
	$(BIN)/python manage.py bench ingest --size 1000000

# Workers are killed at random for some minutes; witnesses outside dex count overlaps. Needs PostgreSQL and Redis.
chaos: setup
	$(BIN)/python -m tests.chaos.killing $(ARGS)

# Renews the pictures of docs/screens; needs Chromium.
screens: setup
	DEX_SCREENSHOTS=docs/screens $(BIN)/python -m pytest tests/journeys $(ARGS)

lock:
	uv pip compile --quiet --no-strip-extras --universal --python-version 3.11 --generate-hashes --no-header requirements-dev.txt -o requirements-dev.lock
	uv pip compile --quiet --no-strip-extras --universal --python-version 3.11 --generate-hashes --no-header requirements.txt -c requirements-dev.lock -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
