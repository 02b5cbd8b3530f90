.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# What a set-up has done is remembered beside it; a changed lock file does it again.
DEMO_READY := $(VENV)/.demo-ready
DEV_READY := $(VENV)/.dev-ready

.PHONY: help demo test test-long check bench fuzz format lock pictures clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

demo: $(DEMO_READY) ## set everything up and walk one punch from the camera to the ledger
	@$(BIN)/zaigang demo $(DEMO_ARGS)

test: $(DEV_READY) ## set everything up and run the tests; long suites at a smaller count
	@tools/other-mediapipe
	@tools/two-test-runs $(BIN)/pytest $(TEST_ARGS)

test-long: $(DEV_READY) ## the long suites in full, from where they were cut off; kept in docs/results/
	@tools/other-mediapipe
	@ZAIGANG_LONG=1 $(BIN)/pytest -m long $(TEST_ARGS)

check: $(DEV_READY) ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(DEV_READY) ## measure ratios against the limits of this machine
	@$(BIN)/zaigang bench

fuzz: $(DEV_READY) ## fuzz every parser for FUZZ_SECONDS each (600); what is found is kept in fuzz/cases/
	@$(BIN)/python -c "import atheris" 2>/dev/null || $(BIN)/pip install 'atheris>=3.0,<4'
	@$(BIN)/python -m fuzz.seed
	@$(BIN)/python -m fuzz --seconds $${FUZZ_SECONDS:-600}

format: $(DEV_READY) ## put the code in form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

pictures: $(DEV_READY) ## take the screenshots of the README again
	@$(BIN)/python tools/screenshots.py

lock: $(DEV_READY) ## compile requirements/*.lock again
	@for extra in base kiosk collector demo dev; do \
	  case $$extra in base) option=;; kiosk) option="--extra kiosk --extra pi";; collector) option="--extra collector";; *) option="--extra $$extra --group build";; esac; \
	  $(BIN)/uv pip compile -q pyproject.toml $$option --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o requirements/$$extra.lock; \
	done

clean: ## remove the virtual environments and what the demo left
	rm -rf $(VENV) .venv-mediapipe-0.10.18 var

$(VENV)/bin/pip:
	@tools/debian-packages demo
	$(PYTHON) -m venv $(VENV)

$(DEMO_READY): requirements/demo.lock pyproject.toml | $(VENV)/bin/pip
	@tools/debian-packages demo
	$(BIN)/pip install --progress-bar on --require-hashes -r requirements/demo.lock
	$(BIN)/pip install --no-deps --no-build-isolation -e .
	$(BIN)/python -m kiosk.verify.models
	@touch $@

$(DEV_READY): requirements/dev.lock pyproject.toml | $(VENV)/bin/pip
	@tools/debian-packages test
	$(BIN)/pip install --progress-bar on --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --no-deps --no-build-isolation -e .
	$(BIN)/python -m kiosk.verify.models
	@touch $@ $(DEMO_READY)
