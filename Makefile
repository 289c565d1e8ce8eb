# One list of commands, for people and for CI. Needs python3 (3.10 or newer) with venv, and make.
PYTHON   ?= python3
VENV     ?= .venv
MINUTES  ?= 3
VERSIONS ?= 3.10 3.11 3.12 3.13 3.14 3.15
SKIP     ?=
PYTEST   ?=
LANES    ?= 8
BIN      := $(VENV)/bin
PIP       = $(BIN)/python -m pip -qq --disable-pip-version-check --no-input

# Prints the path of a Python version: from PATH if it starts there, else the newest of pyenv's.
find_python = { python$(1) -c 'import sys; print(sys.executable)' 2>/dev/null || \
    { command -v pyenv >/dev/null && \
    ls "$$(pyenv root)"/versions/$(1).*/bin/python 2>/dev/null | sort -V | tail -n 1 | grep .; }; }

# The tests start interpreters by the hundred; without bytecode each of them compiles forklog anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test coverage test-long test-all test-lowest run-lowest test-pre run-pre versions docs release-check soak bench run-bench bench-check run-bench-check lint format wheel clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## run real uWSGI servers, with the stock handler and with forklog
	@$(BIN)/forklog demo $(ARGS)

# A file's tests stay in one lane: they share servers that take seconds to start. There are more lanes
# than processors, since many tests wait for servers, forks and timers. tests/conftest.py has the order.
BY_FILE = --dist loadfile --no-loadscope-reorder
test: $(VENV)/.test ## run the tests but the long ones (PYTEST="-k name" selects, LANES=0 runs them in one process)
	@echo "==> tests on $$($(BIN)/python -V)"
	@$(BIN)/python -m pytest -n $(LANES) $(BY_FILE) $(PYTEST)

coverage: ## run the same tests with branch coverage, which takes longer
	@$(MAKE) --no-print-directory test PYTEST="--cov --cov-report=term $(PYTEST)"

test-long: $(VENV)/.test ## run the tests that are marked as long or thorough
	@echo "==> long tests on $$($(BIN)/python -V)"
	@$(BIN)/python -m pytest -n $(LANES) -m "long or thorough" $(PYTEST)

versions: ## print the Pythons of VERSIONS that are found, oldest first
	@for v in $(VERSIONS); do if $(call find_python,$$v) >/dev/null; then echo $$v; fi; done

test-all: ## run all tests, the long ones too, on each Python of VERSIONS that is found, but SKIP
	@found= missing= failed=; \
	for v in $(filter-out $(SKIP),$(VERSIONS)); do \
	    if $(call find_python,$$v) >/dev/null; then found="$$found $$v"; else missing="$$missing $$v"; fi; \
	done; \
	echo "==> found:$${found:- none}; not found:$${missing:- none}; skipped: $(or $(SKIP),none)"; \
	for v in $$found; do \
	    for part in test $(if $(PYTEST),,test-long); do \
	        $(MAKE) --no-print-directory $$part PYTHON="$$($(call find_python,$$v))" VENV=.venv-$$v \
	            || failed="$$failed $$v ($$part)"; \
	    done; \
	done; \
	if [ -n "$$failed" ]; then echo "==> failed on:$$failed" >&2; exit 1; fi

test-lowest: ## run a part of the tests on the lowest dependencies that pyproject.toml allows
	@$(MAKE) --no-print-directory VENV=.venv-lowest run-lowest

run-lowest: $(VENV)/.lowest
	@echo "==> tests on $$($(BIN)/python -V) with $$(.ci/lowest | xargs)"
	@$(BIN)/python -m pytest -n $(LANES) $(BY_FILE) $(or $(PYTEST),tests/unit tests/wire tests/emulator)

test-pre: ## run the tests on the newest dependencies, pre-releases among them
	@$(MAKE) --no-print-directory VENV=.venv-pre run-pre

run-pre: $(VENV)/.pre
	@echo "==> tests on $$($(BIN)/python -V) with pre-releases"
	@$(BIN)/python -m pip list --pre --format=freeze --disable-pip-version-check | grep -E '[0-9](a|b|rc|\.dev)[0-9]' || true
	@$(BIN)/python -m pytest -n $(LANES) $(BY_FILE) $(PYTEST)

bench: ## measure forklog beside its peers, in .venv-bench (ONLY="caller idle" selects, QUICK=1 hurries)
	@$(MAKE) --no-print-directory $(if $(findstring bench,$(VENV)),,VENV=.venv-bench) run-bench

bench-check: ## fail if a log call costs more than it did (instructions by valgrind, else CPU time)
	@$(MAKE) --no-print-directory $(if $(findstring bench,$(VENV)),,VENV=.venv-bench) run-bench-check

run-bench-check: $(VENV)/.bench
	@$(BIN)/python -m benchmarks.guard $(ARGS)

run-bench: $(VENV)/.bench
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only "$(ONLY)") $(if $(QUICK),--quick) $(if $(WRITE),--write)

soak: $(VENV)/.demo ## run uWSGI workers, then attacked trees of processes, against a failing server for MINUTES each; compare all counts
	@$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) $(ARGS)
	@$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) $(ARGS) --spool
	@$(BIN)/python -m benchmarks.attack --minutes $(MINUTES) $(ARGS)
	@$(BIN)/python -m benchmarks.attack --minutes $(MINUTES) $(ARGS) --spool

lint: $(VENV)/.dev ## check style, format and types
	@echo "==> ruff check"
	@$(BIN)/ruff check .
	@echo "==> ruff format --check"
	@$(BIN)/ruff format --check .
	@echo "==> mypy"
	@$(BIN)/mypy
	@echo "==> oxlint"
	@$(BIN)/oxlint -D correctness -D suspicious -D perf forklog/emulator/page/static

format: $(VENV)/.dev ## format the code and sort the imports
	@$(BIN)/ruff check --select I --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/.docs ## build the documentation site into site/, offline, with all links checked
	@echo "==> building the documentation"
	@$(BIN)/zensical build --strict --clean

release-check: $(VENV)/.dev ## build sdist and wheel, check their metadata, install each alone, run the demo
	@.ci/release-check $(BIN)/python

wheel: $(VENV)/.dev ## build the wheel into dist/
	@echo "==> building the wheel"
	@rm -rf dist
	@output=$$($(BIN)/python -m build --wheel --outdir dist . 2>&1) || { echo "$$output" >&2; exit 1; }
	@ls dist/*.whl

clean: ## remove what the other commands made
	@rm -rf .pythons .venv .venv-3.* .venv-bench .venv-lowest .venv-pre dist build site .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.lowest: pyproject.toml .ci/lowest | $(BIN)/python
	@echo "==> installing the lowest dependencies into $(VENV)"
	@$(BIN)/python .ci/lowest >$(VENV)/lowest.txt
	@$(PIP) install --no-compile -c $(VENV)/lowest.txt -e '.[test]'
	@touch $@

$(VENV)/.pre: pyproject.toml | $(BIN)/python
	@echo "==> installing pre-releases into $(VENV)"
	@$(PIP) install --no-compile --pre --upgrade -e '.[test]'
	@touch $@

# One virtual environment; each stamp adds one extra to it, again when pyproject.toml changed.
$(VENV)/.%: pyproject.toml | $(BIN)/python
	@echo "==> installing forklog[$*] into $(VENV)"
	@$(PIP) install --no-compile -e '.[$*]'
	@touch $@

$(BIN)/python:
	@echo "==> creating $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV)
