# make demo | make test | make lint: each sets everything up on a fresh machine.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint

demo: $(BIN)/installed
	$(BIN)/python demo.py

test: $(BIN)/installed-dev
	$(BIN)/python -m pytest

lint: $(BIN)/installed-dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

$(BIN)/installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

# PyTorch comes first and by itself: as a dependency of another package it would bring CUDA.
$(BIN)/installed-dev: requirements-dev.txt $(BIN)/installed
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet -r requirements-dev.txt
	touch $@
