.PHONY: run test lint imports types site format docs bench bench-profile bench-training bench-report

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_MKDOCS_2_WARNING := 1
# Two checks at a time, each with its output in one piece where this make can do that.
TOGETHER := --no-print-directory --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

run: .venv/installed
	$(BIN)/widthwise run mlp10-initialization --scale paper --store runs

test: .venv/installed-for-tests
	@$(MAKE) $(TOGETHER) types site lint imports
	$(BIN)/python -m pytest

lint: .venv/installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

imports: .venv/installed-for-tests
	$(BIN)/lint-imports

types: .venv/installed-for-tests
	$(BIN)/pyright

site: .venv/installed-for-tests
	$(BIN)/mkdocs build --strict

format: .venv/installed-for-tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: site
	@echo "The documentation: build/site/index.html"

bench: .venv/installed
	$(BIN)/python -m benchmarks.sweep
	$(BIN)/python -m benchmarks.startup

bench-profile: .venv/installed
	$(BIN)/python -m benchmarks.profile correlation
	$(if $(WEIGHTS),$(BIN)/python -m benchmarks.profile resnet56 --weights $(WEIGHTS) --data $(DATA))
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
