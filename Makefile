# Each target sets up all it needs: a virtual environment in $(VENV), then the tools of that target.
#
#   make test ARGS="-k naming"             arguments for pytest
#   make demo GAGES=sites.txt              the demo with your own file of gages
#   make bench ARGS="p13 p15"              some of the benchmarks
#   make test VENV=.venv-20 SQLALCHEMY="sqlalchemy<2.1"     another SQLAlchemy, in an environment of its own

PYTHON ?= python3
VENV ?= .venv
SQLALCHEMY ?=
ARGS ?=
GAGES ?=

# What `make test` leaves out; and what it tries with examples, with others.
LEFT = not soak and (matrix or long or hypothesis)

# The command line, the documents, the private server, kills, races, MariaDB and pytest in pytest would call the same code again.
LIBRARY = tests/unit tests/migration tests/testing tests/backends -m "not soak and not long" -k "not mariadb and not asyncmy and not plugin"

# Relative, for the folder around it may have spaces in its name, which no function of make can hold.
PY := $(VENV)/bin/python
INSTALL = $(PY) -m pip install --quiet --editable ".[postgresql,postgres-embedded,asyncpg,aiosqlite,mariadb,asyncmy,frames,spatial,install,db-plugins]" $(if $(SQLALCHEMY),"$(SQLALCHEMY)")

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The Makefile's own variables stay here; a program that is run sees only what the caller's environment holds.
unexport ARGS VENV SQLALCHEMY
# What is compiled stays compiled, or each worker and each program of a test compiles it all again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-all lint format docs bench soak check clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.ready-run  ## the tour: an app, its stores, a server of its own
	$(if $(GAGES),export GAGES="$$(realpath "$$GAGES")"; )python="$$(cd $(VENV)/bin && pwd)/python" && cd examples && "$$python" -m stream_gages.demo

test: $(VENV)/.ready-test  ## the tests, in random order, on all cores
	$(PY) -m pytest -n auto --dist worksteal --durations=25 $(ARGS)

test-all: $(VENV)/.ready-test  ## what `make test` leaves out: each driver and server in turn, what takes long, the oldest SQLAlchemy
	$(PY) -m pytest -n auto --dist worksteal --durations=25 -m '$(LEFT)' --hypothesis-profile=other $(ARGS)
	@$(MAKE) --no-print-directory test VENV=$(VENV)-sqlalchemy20 SQLALCHEMY='sqlalchemy<2.1' ARGS='$(LIBRARY)'

soak: $(VENV)/.ready-test  ## the tests that take minutes, one at a time
	$(PY) -m pytest -m soak $(ARGS)

lint: $(VENV)/.ready-lint  ## style, types, floors
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy src benchmarks $(wildcard tests/typing)
	$(PY) -m pyright --pythonpath $(PY)
	$(PY) -c 'from importlinter.cli import lint_imports_command as run; run()'

format: $(VENV)/.ready-lint  ## mend what ruff can mend
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

docs: $(VENV)/.ready-docs  ## the documentation, in docs/_build/html; a warning is an error
	$(PY) -m sphinx -W --keep-going --quiet -b html docs docs/_build/html
	@$(PY) -m towncrier build --draft --version next > docs/_build/news.log 2>&1 || { cat docs/_build/news.log; exit 1; }

bench:  ## the benchmarks, beside their peers; what they print goes to benchmarks/RESULTS.md
	@$(MAKE) --no-print-directory VENV=$(VENV)-bench $(VENV)-bench/.ready-bench
	$(VENV)-bench/bin/python benchmarks/results.py $(ARGS)

check: lint test docs  ## all that must hold before a change is taken

clean:  ## remove what was built, and the environment
	rm -rf $(VENV) $(VENV)-bench $(VENV)-sqlalchemy20 build dist docs/_build

# --- environments: one stamp per set of tools, renewed when pyproject.toml changes ------------------

$(VENV)/.ready-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Penstock needs Python 3.11 or newer; "$(PYTHON)" is not. Name another: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo '"$(PYTHON)" can not make virtual environments; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

$(VENV)/.ready-run: pyproject.toml $(VENV)/.ready-venv
	@echo "installing Penstock in $(VENV)"
	@$(INSTALL)
	@touch $@

$(VENV)/.ready-%: pyproject.toml $(VENV)/.ready-venv
	@echo "installing Penstock and its tools ($*) in $(VENV)"
	@$(INSTALL) --group $*
	@touch $@
