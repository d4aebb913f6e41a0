# make paper   the environment, every notebook under PRESET (quick), figures, report: reports/quick/index.html
# make test    the environment, the tests
# make lab     JupyterLab on the notebooks          make report  the pages again, from the executed notebooks
# make bench   the benchmarks                       make lint    style of code and notebooks
# make test-slurm  the graph on a real Slurm of one node, set up for the purpose (Debian: slurm-wlm, munge)
# make clean   remove reports and caches; trained networks (data/runs) and the environment stay

PYTHON ?= python3
PRESET ?= quick
CORES ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
UV ?= uv
# Without a restart: after a crash, xdist would wait for the files of the worker that is gone, for ever.
PYTEST ?= -n 2 --dist loadfile --max-worker-restart 0

# A Python that was asked for by name is the only candidate.
CANDIDATES = $(if $(filter file,$(origin PYTHON)),$(PYTHON) python3.13 python3.12 python3.11,$(PYTHON))
BIN := .venv/bin
CACHE := $(CURDIR)/.venv/.cache
# Whatever the tools want to keep, they keep inside .venv.
RUN := env XDG_CACHE_HOME=$(CACHE) IPYTHONDIR=$(CACHE)/ipython MPLCONFIGDIR=$(CACHE)/matplotlib NUMBA_CACHE_DIR=$(CACHE)/numba \
  JUPYTER_CONFIG_DIR=$(CACHE)/jupyter/config JUPYTER_DATA_DIR=$(CACHE)/jupyter/data JUPYTER_RUNTIME_DIR=$(CACHE)/jupyter/runtime
TESTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

.PHONY: paper test test-slurm coverage lab report bench lint lock clean distclean
.DEFAULT_GOAL := paper

paper: .venv/.installed
	@$(RUN) $(BIN)/python -m semcont.paper paper --preset $(PRESET) --cores $(CORES)

test: .venv/.installed
	@$(RUN) $(BIN)/python -m pytest $(PYTEST)

# Snakemake's executor for Slurm stays apart from .venv, where it would slow every start.
test-slurm: .venv/.installed
	@$(BIN)/python tests/slurm/rehearse.py --check
	@test -d .venv/.slurm || $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --target .venv/.slurm \
	  -r tests/slurm/requirements.txt
	@PYTHONPATH=$(CURDIR)/.venv/.slurm $(RUN) $(BIN)/python tests/slurm/rehearse.py

coverage: .venv/.installed
	@rm -f .coverage .coverage.*
	@$(RUN) $(BIN)/python -m coverage run -m pytest $(PYTEST)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report --skip-covered

lab: .venv/.installed
	@$(RUN) $(BIN)/python -m jupyterlab notebooks

report: .venv/.installed
	@$(RUN) $(BIN)/python -m semcont.paper report --preset $(PRESET)

bench: .venv/.installed
	@$(RUN) $(BIN)/python benchmarks/bench.py

lint: .venv/.installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/nbstripout --verify --keep-id \
	  --extra-keys "metadata.papermill metadata.language_info cell.metadata.papermill cell.metadata.execution" notebooks/*.ipynb

lock:
	@$(UV) pip compile --universal --python-version 3.11 --extra dev --no-emit-index-url --no-emit-find-links --no-annotate \
	  pyproject.toml -o requirements.lock

clean:
	rm -rf reports .snakemake build dist .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* .venv/.cache
	find semcont tests notebooks -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf

distclean: clean
	rm -rf .venv data/runs

# The environment: what the lock says, into .venv, with the first Python of the tested range that is found.
.venv/.installed: requirements.lock pyproject.toml
	@set -e; \
	for python in $(BIN)/python $(CANDIDATES); do \
	  if $$python -c '$(TESTED)' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo "semcont needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1 || true) (make PYTHON=... takes another)" >&2; exit 1; fi; \
	if [ "$$found" != "$(BIN)/python" ]; then echo "environment: .venv from $$($$found --version)"; $$found -m venv --clear .venv; fi
	@echo "environment: installing requirements.lock; the first time this takes minutes"
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.lock
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@
