# `make` says what can be done. ARGS goes to the command that does the work, for
# instance `make lab ARGS="--configfile config/full.yaml"`.
PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
# -qq leaves pip's errors and hides its progress.
INSTALL := $(BIN)/pip install -qq --disable-pip-version-check --require-hashes --no-deps -r
COMPILE := ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-header --no-emit-index-url --no-emit-find-links --no-emit-index-annotation

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help lab report docs test needs fuzz bench audit setup setup-dev setup-kubernetes lint format lock clean

help: ## say what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Files in ARGS are targets, wherever they stand: `--configfile mine.yaml TARGET` and
# `--resources gpu=1 TARGET` would swallow them.
OPTIONS = $(filter-out results/%,$(ARGS))
TARGETS = $(if $(filter results/%,$(ARGS)),-- $(filter results/%,$(ARGS)))

# GPUs that a run may have; an arm of several ranks needs as many.
GPUS ?= 1

# exec: its parent is make itself, which it tells of Ctrl-C.
SNAKEMAKE = CUDAGRAPH_LAB_FROM_MAKE=1 exec $(BIN)/python -m snakemake_logger_plugin_lab

lab: setup ## measure what is not measured yet with what is here, judge it, write the report
	@$(SNAKEMAKE) $(OPTIONS) --logger lab --cores 1 --resources gpu=$(GPUS) $(TARGETS)

report: setup ## write the report from the records that are there; measures nothing
	$(if $(filter --config --config=% -C,$(ARGS)),$(error ARGS: `make report` gives --config \
	itself; put your keys into a file and name it with --configfile))
	@$(SNAKEMAKE) $(OPTIONS) --logger lab --cores all --config measure=none $(TARGETS)

docs: setup ## render the example in docs/ from the shipped records; needs chromium
	@command -v chromium >/dev/null || { \
	  echo 'make docs: install chromium first, on Debian: apt-get install chromium' >&2; exit 1; }
	@rm -rf .venv/docs
	$(BIN)/snakemake results/report/lab_report.html --cores 1 --directory .venv/docs \
	  --snakefile Snakefile --configfile config/config.yaml --config measure=none
	cp .venv/docs/results/report/lab_report.html docs/
	chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
	  --disable-component-update --disable-sync --hide-scrollbars --user-data-dir=.venv/docs/chromium \
	  --log-level=3 --window-size=1280,900 --screenshot=docs/report.png \
	  'file://$(CURDIR)/docs/lab_report.html'

# Four processes, also on two cores: many tests wait, for vLLM's device, for Slurm, for a fault.
# ARGS=-n0 for one, as a debugger wants it.
test: needs ## run the tests; installs what they need, on Debian as root
	@$(MAKE) --no-print-directory setup-dev
	$(BIN)/pytest -n 4 $(ARGS)

needs:
	@$(PYTHON) tests/needs.py $(ARGS)

fuzz: setup-dev ## run all properties at random, with 2,500 examples each
	$(BIN)/pytest -n 2 -m hypothesis --hypothesis-profile=fuzz $(ARGS)

bench: setup ## measure what waiting costs, half an hour; ARGS="PART ..." for parts of it
	$(BIN)/python -m bench $(ARGS)

setup: .venv/.pipeline .venv/.package ## make .venv, from hashed locks

# Without npm, where ARGS choose tests, those in a browser say what they lack.
setup-dev: setup .venv/.dev $(if $(shell command -v npm 2>/dev/null),.venv/.axe) ## add the tools for tests and formatting to .venv

setup-kubernetes: setup ## add what profiles/kubernetes needs to .venv
	@$(INSTALL) envs/kubernetes.txt

lint: setup .venv/.dev ## check style, types and the workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakemake --lint

audit: setup .venv/.dev ## audit what is installed and locked; asks the package registry
	$(BIN)/python bench/audit.py

format: setup .venv/.dev ## format the sources; make the configuration's schema and tables anew
	$(BIN)/python -m cudagraph_lab.config.documents
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

lock: .venv/.pipeline ## renew the locks in envs/; ARGS=--upgrade for newer versions
	cd envs && $(COMPILE) $(ARGS) pipeline.in -o pipeline.txt
	cd envs && $(COMPILE) $(ARGS) kubernetes.in -c pipeline.txt -o kubernetes.txt
	cd envs && $(COMPILE) $(ARGS) dev.in -c pipeline.txt -o dev.txt
	cd envs && for lock in $(basename $(notdir $(wildcard envs/vllm-*.in))); do \
	  $(COMPILE) $(ARGS) $$lock.in -o $$lock.txt \
	    $$(test ! -e $$lock.override.txt || echo --override $$lock.override.txt) || exit; done
	@if grep -nE '://|^-' envs/*.txt; then echo 'make lock: these lines hold an address' >&2; exit 1; fi

clean: ## remove .venv and .snakemake, never results
	rm -rf .venv .snakemake

# The stamps come last, and live in what they speak of: an interrupted set-up has none.
# A changed lock makes .venv anew, so that nothing of the old one stays behind.
.venv/.pipeline: envs/pipeline.txt
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("make: Python 3.11 or newer \
	is needed, $(PYTHON) is %d.%d; give a newer one, as in: make PYTHON=python3.12 setup" \
	% sys.version_info[:2])'
	@test ! -L .venv || { echo "make: .venv is a link to $$(readlink .venv), which does not fit $< \
	here and is not emptied for it; remove the link, and make sets up a .venv of its own" >&2; exit 1; }
	@echo 'Setting up .venv from $<, once.'
	@$(PYTHON) -m venv --clear .venv
	@$(INSTALL) $<
	@touch $@

# uv holds the build backend, so this needs no network.
.venv/.package: pyproject.toml .venv/.pipeline
	@$(BIN)/uv pip install --quiet --python .venv --no-deps --offline --editable .
	@touch $@

.venv/.dev: envs/dev.txt .venv/.pipeline
	@echo 'Adding the tools of $< to .venv, once.'
	@$(INSTALL) $<
	@touch $@

# Scripts of packages are not run; axe-core has none that it needs.
.venv/.axe: tests/browser/package-lock.json .venv/.pipeline
	@mkdir -p .venv/axe
	@cp tests/browser/package.json tests/browser/package-lock.json tests/browser/.npmrc .venv/axe/
	@npm ci --prefix .venv/axe --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@
