# Every target makes the virtual environment when it is missing or older than pyproject.toml.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PEERS  := .venv-peers
WORKERS ?= 2

# Tests on real data run where the files are; elsewhere they are skipped with that reason.
ifeq ($(origin MMBENCH_DATA),undefined)
ifneq ($(wildcard ../shared/data),)
export MMBENCH_DATA := $(abspath ../shared/data)
endif
endif

.PHONY: help venv demo test browser parity check faults bench clean

help:
	@echo "make demo    train MEME, MVAE and MMVAE on the embedded digits and write a report"
	@echo "make test    run the tests (without the slow ones; PYTEST='-m slow' adds options, WORKERS=1 is one process)"
	@echo "make browser run the tests that need Chromium (MMBENCH_SHOTS=FOLDER keeps their pictures of the page)"
	@echo "make parity  compare with the package multivae and test the bridge to it, in an environment that has it"
	@echo "make check   lint, format, types, and every command of the documentation"
	@echo "make faults  put known faults into the code, one at a time, and show that the tests catch each (FAULTS=OPTIONS)"
	@echo "make bench   time steps, evaluation and start-up against references (ARGS='--only startup' adds options)"
	@echo "make clean   remove what the other targets made"

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,browser]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python scripts/demo.py $(DEMO)

test: $(STAMP)
	$(BIN)/python -m pytest -q --numprocesses $(WORKERS) $(PYTEST)

browser: $(STAMP)
	$(BIN)/python -m pytest -q -m browser tests/browser $(PYTEST)

parity: $(PEERS)/.installed
	$(PEERS)/bin/python -m pytest -q -m 'parity and not slow' tests/parity tests/bridge $(PYTEST)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/check_docs.py

faults: $(STAMP)
	$(BIN)/python scripts/seeded_faults.py $(FAULTS)

bench: $(PEERS)/.installed
	$(PEERS)/bin/python -m benchmarks.main $(ARGS)

# An environment of its own for `bench` and `parity`: multivae without its pins, and what its model modules import.
$(PEERS)/.installed: pyproject.toml constraints.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --constraint constraints.txt --editable .
	$(PEERS)/bin/python -m pip install --quiet --constraint constraints.txt cloudpickle pydantic pytest pytest-timeout
	$(PEERS)/bin/python -m pip install --quiet --no-deps multivae==1.0.3 pythae==0.1.2
	touch $(PEERS)/.installed

clean:
	rm -rf $(VENV) $(PEERS) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache demo-results
