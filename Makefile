# make demo   the stories in a browser, with workers to kill
# make test   all tests on SQLite and an embedded Valkey
# make browser  the admin and the demo in Chromium, which must be installed; PICTURES=1 writes docs/pictures
# make recording  the demo's import as an animated picture, for the README
# make chaos  real workers under a rain of faults, and a count of what was lost and repeated
# make bench  ours measured beside plain RQ, absurd, dbos and bare loops, in a quarter of an hour
# make million  the admin's list at a million rows, with DATABASE_URL of a PostgreSQL
# make lint   style, types, migrations, checks
# make docs   the documentation, into docs/_build/html; a warning is an error
# make clean  remove what these made
#
# Needs Python 3.11 or newer and nothing else: everything is installed into .venv.

PYTHON ?= python3
VENV ?= .venv
# DJANGO="django~=5.2.0" pins another release.
DJANGO ?= django
ARGS ?=
# All tests run on all cores; chosen ones one after the other, so that what they print is seen.
PARALLEL = $(if $(ARGS),,--numprocesses auto --dist worksteal)
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test browser recording chaos bench million lint docs clean

demo: $(VENV)/.demo
	$(BIN)/python manage.py demo $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

browser: $(VENV)/.browser
	$(BIN)/python -m pytest tests/browser -m browser $(ARGS)

recording: $(VENV)/.browser
	$(BIN)/python -m tests.browser.recording

chaos: $(VENV)/.chaos $(if $(findstring mariadb,$(ARGS)),$(VENV)/.mysql)
	$(BIN)/python -m tests.chaos $(ARGS)

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(ARGS)

million: $(VENV)/.chaos
	$(BIN)/python -m tests.admin.million $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m django makemigrations --check --dry-run --settings tests.settings
	DJANGO_DEBUG=0 DJANGO_ALLOWED_HOSTS=demo.example DJANGO_SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))') \
		$(BIN)/python manage.py check --deploy --tag security --fail-level WARNING

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html

clean:
	rm -rf $(VENV) .venvs .demo build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[demo]' '$(DJANGO)'
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[demo]' --group test --group types '$(DJANGO)'
	touch $@

$(VENV)/.browser: $(VENV)/.test
	$(PIP) install --group browser
	touch $@

# Compiles its driver, which needs the client library of MariaDB: libmariadb-dev and pkg-config on Debian.
$(VENV)/.mysql: $(VENV)/.chaos
	$(PIP) install --group mysql
	touch $@

$(VENV)/.chaos: $(VENV)/.test
	$(PIP) install --group postgresql
	touch $@

$(VENV)/.bench: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[demo]' --group postgresql '$(DJANGO)'
	touch $@

$(VENV)/.lint: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[demo]' --group lint --group test --group types '$(DJANGO)'
	touch $@

$(VENV)/.docs: $(VENV)/.test
	$(PIP) install --group docs
	touch $@
