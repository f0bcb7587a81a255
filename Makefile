# Every target creates what it needs; CI runs these same targets.
PYTHON ?= python3
VENV ?= .venv
PYTHONS ?= 3.11 3.12 3.13
# Set to a CPU wheel index for torch where one can be reached, for instance
#   make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
PIP = $(VENV)/bin/pip install --disable-pip-version-check -q
RUN = $(VENV)/bin
TORCH = $(if $(TORCH_INDEX),$(PIP) torch --index-url $(TORCH_INDEX) &&,)

.PHONY: demo test test-full matrix lowest lint types check neo4j neo4j-stop neo4j-jars champion tables docs \
	docs-pictures bench measure sdk test-sdk bench-sdk chromium clean

## ---- for everyone -----------------------------------------------------------------------------
demo: $(VENV)/.lab          ## simulate a shop, release, serve, explain, backtest: at most three minutes
	$(RUN)/riskgraph demo --out demo-out

test: $(VENV)/.dev neo4j-jars ## everything that runs in minutes; with Neo4j where one can be had, or it says why not
	$(RUN)/pytest -n 2 -rs -m "not slow" tests
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory test-sdk; \
	else echo "npm is not here: tests of the browser SDK and of the demo shop's pages were not run"; [ "$(CI)" != true ]; fi

matrix:                     ## the tests on each Python from 3.11 on that is here, each in its own environment
	@for version in $(PYTHONS); do \
		if ! python$$version -c '' 2>/dev/null; then echo "python$$version is not here"; continue; fi; \
		echo "== python$$version"; \
		$(MAKE) test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	done

lowest:                     ## the tests with the oldest libraries that pyproject.toml allows, without torch
	$(PYTHON) -m venv --clear .venv-lowest && .venv-lowest/bin/pip install --disable-pip-version-check -q uv
	.venv-lowest/bin/uv pip install -q --python .venv-lowest/bin/python --resolution lowest-direct -e '.[lab,dev]'
	.venv-lowest/bin/pytest -n 2 -m "not slow" tests

## ---- for developers ---------------------------------------------------------------------------
test-full: $(VENV)/.full neo4j-jars ## the slow ones too: 200 kills, 100,000 orders, Ray, more examples
	$(RUN)/pytest -n 2 -rs --hypothesis-profile=full tests

lint: $(VENV)/.dev          ## style, and who may import whom
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/lint-imports

types: $(VENV)/.dev         ## strict mypy
	$(RUN)/mypy

check: lint types test      ## what CI runs

NEO4J = tests.support.neo4j_server
neo4j: $(VENV)/.neo4j       ## a Neo4j server on loopback (NEO4J_PORT=N, NEO4J_OPTIONS=--browser); prints its URI
	@$(RUN)/python -m $(NEO4J) start $(if $(NEO4J_PORT),--port $(NEO4J_PORT)) $(NEO4J_OPTIONS)
	@echo 'for riskgraph: eval "$$($(RUN)/python -m $(NEO4J) status)"' >&2

neo4j-stop:                 ## stop it; its data stay in build/neo4j
	@$(PYTHON) -m $(NEO4J) stop

neo4j-jars: $(VENV)/bin/python ## its jars from Maven into the cache, checked; nothing where there is no Java or no Maven
	@$(RUN)/python -m $(NEO4J) fetch

CHAMPION = RISKGRAPH_HOME=build/champion/home $(RUN)/riskgraph
champion: $(VENV)/.dev      ## rebuild the model that ships in the package, on the certified worlds, and backtest it
	rm -rf build/champion && mkdir -p build/champion
	$(RUN)/python -c 'from pathlib import Path; from riskgraph import bootstrap; bootstrap.simulated_settings(Path("build/champion/home"))'
	$(CHAMPION) simulate --config world-1 --seed 771 --out build/champion/world-1
	$(CHAMPION) simulate --config world-2 --seed 871 --out build/champion/world-2
	$(CHAMPION) sandbox release --world build/champion/world-1 --until 2025-02-03 --out build/champion/release-1
	$(CHAMPION) sandbox release --world build/champion/world-2 --until 2026-02-02 --out build/champion/release-2
	$(CHAMPION) train --release build/champion/release-1 --release build/champion/release-2 --device cpu --out build/champion/model
	$(CHAMPION) simulate --config demo --seed 7 --out build/champion/demo
	$(CHAMPION) backtest --world build/champion/demo --model build/champion/model --from 2026-07-01 --to 2026-09-30 --out build/champion/backtest
	mkdir -p models/champion && cp build/champion/model/tables.npy build/champion/model/card.json build/champion/model/baseline.json models/champion/
	$(CHAMPION) model parity --model models/champion
	@echo "now write the card into docs/models.md: $(RUN)/python tests/test_docs.py"

tables: $(VENV)/.dev        ## all models side by side on unseen families, three seeds, deep ones in every part: hours
	BIN=$(RUN) tests/tables.sh

docs: $(VENV)/.lab          ## pages that are generated from the code
	$(RUN)/riskgraph catalog --markdown > docs/catalogue.md
	$(RUN)/riskgraph catalog --wording > docs/wording.md

docs-pictures: $(VENV)/.lab ## pictures of a simulated world, for the pages
	RISKGRAPH_HOME=build/pictures/home $(RUN)/riskgraph simulate --config world-1 --seed 761 --out build/pictures/world
	RISKGRAPH_HOME=build/pictures/home $(RUN)/riskgraph world pictures build/pictures/world --out docs/pictures

bench: $(VENV)/.lab         ## the figures of this release
	$(RUN)/riskgraph bench line --json

measure: ## what cannot be measured from inside: install sizes and the demo's time
	sh tests/measure.sh

sdk: sdk_js/node_modules    ## the browser SDK: modules, scripts with their hashes, types
	cd sdk_js && npm run -s build

SERVED = RISKGRAPH_PYTHON=$(abspath $(RUN))/python
test-sdk: sdk chromium $(VENV)/.dev ## its tests, in a real browser where one is there, and those of the demo shop
	cd sdk_js && npm run -s lint && $(SERVED) npm test
	$(RUN)/pytest -q tests/sdk
	cd sdk_js && $(SERVED) node bench/bench.mjs --only flow_s

bench-sdk:                  ## its figures as JSON, beside peers from npm; what is made before goes to stderr
	@$(MAKE) --no-print-directory sdk chromium $(VENV)/.dev >&2
	@$(SERVED) $(RUN)/riskgraph bench sdk --json

chromium:                   ## Debian's browser; without one the browser tests say that they are skipped, and CI fails
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } \
		|| { echo "Chromium is not here and cannot be installed"; [ "$(CI)" != true ]; }

sdk_js/node_modules: sdk_js/package-lock.json
	@node -e 'if (parseInt(process.versions.node) < 20) { console.error("the browser SDK is built with Node 20 or later; this is " + process.version); process.exit(1) }'
	cd sdk_js && npm ci --no-audit --no-fund
	@touch $@

clean:
	@[ ! -e build/neo4j/server.json ] || $(PYTHON) -m $(NEO4J) stop
	rm -rf build dist demo-out *.egg-info sdk_js/dist

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.neo4j: $(VENV)/bin/python pyproject.toml
	$(PIP) -e '.[neo4j]'
	@touch $@

$(VENV)/.lab: $(VENV)/bin/python pyproject.toml
	$(PIP) -e '.[lab]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(TORCH) $(PIP) -e '.[train,dev]'
	@touch $@ $(VENV)/.lab $(VENV)/.neo4j

$(VENV)/.full: $(VENV)/.dev
	$(PIP) -e '.[ray]'
	@touch $@
