.PHONY: run test format docs bench bench-profile bench-training bench-report

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_MKDOCS_2_WARNING := 1

run: .venv/installed
	$(BIN)/widthwise run mlp10-initialization --scale paper --store runs

test: .venv/installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	$(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m pytest

format: .venv/installed-for-tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed-for-tests
	$(BIN)/mkdocs build --strict
	@echo "The documentation: build/site/index.html"

bench: .venv/installed
	$(BIN)/python -m benchmarks.sweep
	$(BIN)/python -m benchmarks.startup

bench-profile: .venv/installed
	$(BIN)/python -m benchmarks.profile correlation
	$(BIN)/python -m benchmarks.profile resnet56
	$(BIN)/python -m benchmarks.profile alexnet
	$(BIN)/python -m benchmarks.profile memory

bench-training: .venv/installed
	$(BIN)/python -m benchmarks.training data
	$(BIN)/python -m benchmarks.training plain
	$(BIN)/python -m benchmarks.training bare
	$(BIN)/python -m benchmarks.training stacked

bench-report: .venv/installed-for-tests
	$(BIN)/python -m benchmarks.report

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) .
	touch $@

.venv/installed-for-tests: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) ".[test]"
	touch $@ .venv/installed
