# make demo | test | test-fast | lint | docs: each sets everything up on a fresh machine.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
# A test process per core; what one of them compiles the others find (tests/conftest.py). Each begins
# with half of the tests and takes from the other when it is through, so that few files are split.
WORKERS ?= $(shell getconf _NPROCESSORS_ONLN)

.PHONY: demo test test-fast lint docs

demo: $(BIN)/installed
	$(BIN)/python demo.py

test: $(BIN)/installed-test
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=25

# The inner loop: what takes seconds, no process of its own and no training run.
test-fast: $(BIN)/installed-test
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" tests/house tests/runtime tests/languages tests/text tests/data tests/model

lint: $(BIN)/installed-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(BIN)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open build/site/index.html, or $(BIN)/mkdocs serve"

$(BIN)/installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

# PyTorch comes first and by itself: as a dependency of another package it would bring CUDA.
$(BIN)/installed-test: $(wildcard requirements-*.txt) $(BIN)/installed
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet -r requirements-test.txt
	touch $@

$(BIN)/installed-docs: requirements-docs.txt $(BIN)/installed
	$(BIN)/pip install --quiet -r requirements-docs.txt
	touch $@
