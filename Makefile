# Two commands: `make demo` and `make test`. Each builds the environment in .venv when it is not
# there or when the locked versions have changed; a second run starts at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := 2.13.0

.PHONY: demo test check docs clean

demo: $(STAMP)
	$(BIN)/thinfile demo

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)
	$(BIN)/python scripts/make_docs.py

# torch comes first and pinned: asked for by another package, an index may answer with gigabytes of
# CUDA libraries. The CPU build is taken where the index offers one; TORCH_INDEX=<address> names
# another index that does.
$(STAMP): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "thinfile needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check "torch==$(TORCH)+cpu" -c constraints.txt \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) || \
		$(BIN)/pip install -q --disable-pip-version-check "torch==$(TORCH)" -c constraints.txt
	$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $(STAMP)

clean:
	rm -rf $(VENV) build dist src/*.egg-info
