# Every target makes what it needs itself: on a fresh machine, `make run` or `make test` is all there is to type.
#
#   make run [PORT=5070]    a daemon on 127.0.0.1, with two accounts to try it with
#   make test [ARGS=…]      ruff, mypy, and all tests, two at a time (JOBS=0: one); ARGS go to pytest
#   make lint               ruff and mypy only
#   make format             rewrite in the project's format
#   make lock               resolve requirements*.lock anew from pyproject.toml
#   make browser            JsSIP for the tests in a browser, from npm; make test does it
#   make page               JsSIP for the chat page, imc/page/chat/jssip.js, from npm; a test holds that it is this
#   make screenshots        the pictures of the documentation, by the tests in a browser
#   make tour               every transition of the model over real UDP; make test plays one of each class
#   make soak [ARGS=…]      faults under load: kill -9, databases, clocks, networks, receivers, attacks on the edge; 50 minutes; ARGS: some
#                           of them: "edge --minutes 60" for an hour of floods, slow peers, churn and garbage
#   make mutation           change every cell of the tables of rooms, and see which tests notice
#   make spec               check the models of rooms, transactions and lanes, and the code against them
#   make fuzz [SECONDS=600] fuzz what reads octets from outside, with atheris; `.fuzz/` keeps what it learns and finds
#   make traces             write spec/traces/ from the rules
#   make reference          write docs/reference/, docs/design/diagrams/, man pages and completion from the code
#   make docs               the documentation as a site, in build/docs/
#   make dist               wheel and source distribution, into dist/
#   make clean              remove what was made here, the demo's accounts and rooms included

PYTHON ?=
PORT ?= 5060
ARGS ?=
JOBS ?= 2
SECONDS ?= 600
BIN := .venv/bin
export PYTHON

.PHONY: run test lint format lock spec tour soak mutation fuzz traces reference docs dist clean programs browser page screenshots \
	models

run: .venv/run.stamp
	@$(BIN)/imc demo --dir run --port $(PORT)

test: lint programs browser
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

lint: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Never an index address in a lock file: whoever installs chooses where from.
UV_COMPILE = $(BIN)/uv pip compile --quiet --system-certs --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --extra conformance pyproject.toml

lock: .venv/dev.stamp
	$(UV_COMPILE) --group build --output-file requirements.lock
	$(UV_COMPILE) --group build --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(UV_COMPILE) --group build --group fuzz --constraint requirements.lock --output-file requirements-fuzz.lock

tour: .venv/dev.stamp
	IMC_TOUR=all $(BIN)/python -m pytest -n $(JOBS) tests/e2e/test_tour.py $(ARGS)

soak: .venv/dev.stamp programs
	$(BIN)/python -m tests.soak $(ARGS)

mutation: .venv/dev.stamp
	$(BIN)/python -m tests.mutation

fuzz: .venv/fuzz.stamp
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(ARGS)

traces: .venv/run.stamp
	$(BIN)/imc-conformance traces spec/traces

reference: .venv/run.stamp
	for page in settings rpc imc permissions metrics; do $(BIN)/imc reference $$page > docs/reference/$$page.md || exit 1; done
	for page in room membership transactions; do \
		$(BIN)/imc reference diagram-$$page > docs/design/diagrams/$$page.md || exit 1; done
	$(BIN)/imc-conformance clauses . > docs/reference/clauses.md
	$(BIN)/python docs/man/write.py

# Warnings are errors: a link that leads nowhere is one.
docs: .venv/dev.stamp
	$(BIN)/sphinx-build --quiet --nitpicky --fail-on-warning --keep-going --conf-dir docs --doctree-dir build/doctrees . build/docs
	@echo "file://$(CURDIR)/build/docs/index.html"

# hatchling is in the lock: nothing is fetched.
dist: .venv/run.stamp
	rm -rf dist
	$(BIN)/hatchling build -d dist

clean:
	rm -rf .venv run build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

programs:
	@.ci/setup programs

# JsSIP, and what drives a browser; without npm, or without a registry, its tests are skipped.
browser: | programs
	@cd tests/e2e/browser && if ! cmp -s package-lock.json node_modules/.installed; then \
		npm ci --omit-lockfile-registry-resolved --no-audit --no-fund && cp package-lock.json node_modules/.installed || \
		echo "make browser: JsSIP could not be installed; the tests in a browser are skipped" >&2; fi

page: browser
	node tests/e2e/browser/bundle.mjs imc/page/chat

screenshots: .venv/dev.stamp browser
	mkdir -p build/screenshots
	IMC_SCREENSHOTS=$(CURDIR)/build/screenshots $(BIN)/python -m pytest -q tests/e2e/test_chat_page.py \
		tests/e2e/test_operators_page.py
	cd docs/how-to/images && for picture in *.png; do cp $(CURDIR)/build/screenshots/$$picture . || exit 1; done

spec: .venv/dev.stamp models spec/node_modules/.package-lock.json
	$(BIN)/python spec/check_rooms.py
	$(BIN)/python spec/check_lanes.py

# The model checkers, where they are missing: each time, since node_modules may be there without them.
models:
	@.ci/setup models

# The lock file names no registry: npm takes what it is configured with.
spec/node_modules/.package-lock.json: spec/package-lock.json | models
	@command -v npm >/dev/null || { echo "make spec: npm is missing (Debian: apt-get install npm)" >&2; exit 2; }
	cd spec && npm ci --omit-lockfile-registry-resolved --no-audit --no-fund

.venv/run.stamp: requirements.lock pyproject.toml
	@.ci/setup run

# atheris has no wheels for every Python: nothing but `make fuzz` needs it.
.venv/fuzz.stamp: .venv/dev.stamp requirements-fuzz.lock
	@.ci/setup fuzz

.venv/dev.stamp: .venv/run.stamp requirements-dev.lock
	@.ci/setup dev
