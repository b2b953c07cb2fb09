# Everything a person types. `make demo` and `make test` do their own set-up on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MARK := $(VENV)/.installed

.PHONY: setup demo test test-fast test-levels test-matrix test-warehouses test-stress coverage check format bench chaos screens lock clean

setup: $(MARK)

$(MARK): requirements-dev.lock
	@bin/setup $(PYTHON)

demo: setup
	$(BIN)/python manage.py demo $(if $(PORT),--port $(PORT)) $(ARGS)

test: setup
	$(BIN)/python -m pytest --numprocesses 4 --dist worksteal $(ARGS)

# What needs neither processes nor a browser: for the minute between two edits.
test-fast: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "(unit or database) and not exhaustive" $(ARGS)

# Scripts, the demo and `up` at the levels of isolation below this machine's own.
test-levels: setup
	bin/test-levels $(ARGS)

# Sessions on every line of dbt that they support; builds a virtualenv for each below .runtimes/.
test-matrix: setup
	$(BIN)/python bin/test-matrix $(ARGS)

# Every warehouse with the real adapter of dbt; builds a virtualenv for each below .runtimes/.
test-warehouses: setup
	$(BIN)/python bin/test-warehouses $(ARGS)

# What depends on real processes and a browser, five times in a row, beside four busy processes.
test-stress: setup
	bin/test-stress $(ARGS)

# Branch coverage of the pure core and of the engine; fails below 95 %. In: ARGS for pytest, or --report for the last one.
coverage: setup
	bin/coverage $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
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
	uv pip compile --quiet --override lock-overrides.txt --no-strip-extras --universal --python-version 3.11 --generate-hashes --no-header requirements-dev.txt -o requirements-dev.lock
	uv pip compile --quiet --override lock-overrides.txt --no-strip-extras --universal --python-version 3.11 --generate-hashes --no-header requirements.txt -c requirements-dev.lock -o requirements.lock

clean:
	rm -rf $(VENV) .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
