# Two commands matter: `make book` and `make test`. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help book pdf test test-book lab serve clean
help: ## Say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

NATIVE := hatch_build.py elslib/posterior/native/build.py elslib/posterior/native/kernel.cpp

$(STAMP): pyproject.toml requirements.lock $(NATIVE)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python >= 3.11 is needed, {sys.executable} is {v.major}.{v.minor}; say PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[book,dev]'
	@# JupyterLab opens percent scripts as notebooks.
	$(BIN)/jupytext-config --settings-file .venv/etc/jupyter/labconfig/default_setting_overrides.json set-default-viewer python > /dev/null
	@touch $@

book: $(STAMP) ## Execute the notebooks, build the pages, say where they are
	$(BIN)/elslib book

pdf: $(STAMP) ## The book as one PDF, printed by Chromium
	$(BIN)/elslib pdf

test: $(STAMP) ## Lint, types and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	@# One worker a core, with one thread each: most tests are too small for two.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

test-book: $(STAMP) ## Look at the built pages in a browser (Chromium), after `make book`
	$(BIN)/python -m pytest tests/browser

lab: $(STAMP) ## Open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

serve: $(STAMP) ## Serve the built pages on http://localhost:8000
	@test -f _build/html/index.html || $(MAKE) book
	$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory _build/html

clean: ## Remove everything that was built, not the environment
	rm -rf _build book/notebooks .pytest_cache .ruff_cache .hypothesis
