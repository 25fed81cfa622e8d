# The commands of this project: `make serve`, `make test`, `make test-fast`, `make fuzz`, `make soak` and `make audit` (see
# docs/security.md), `make lint`, `make wheel`, `make check-gpu` (see docs/gpu.md), and `make lock` to pin the images' packages.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
DIST ?= dist
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: serve test test-fast fuzz soak audit lint wheel check-gpu gpu-kit lock

serve: $(VENV)/serve.stamp
	$(BIN)/impasto serve --port $(PORT)

test: $(VENV)/dev.stamp
	$(PYTEST)

# While working: without what starts a browser, commands or servers as processes, or trains.
test-fast: $(VENV)/dev.stamp
	$(PYTEST) -m 'not browser and not process and not training'

# Mutated pictures, guided by coverage; what is found lies in runs/fuzz.
HOURS ?= 1

fuzz: $(VENV)/fuzz.stamp
	$(BIN)/python -m tests.hostile.fuzz --hours $(HOURS) --out runs/fuzz

# Twice what the server can answer, with faults thrown in, and a count of what became of each request.
soak: MINUTES ?= 60
soak: $(VENV)/dev.stamp
	$(BIN)/python tests/benchmarks/soak.py --minutes $(MINUTES)

# Every package that the images install, looked up in the database of advisories of PyPI.
audit: $(if $(shell command -v uvx),,$(VENV)/dev.stamp)
	PATH="$(abspath $(BIN)):$$PATH" uvx pip-audit@2.10.1 --strict --disable-pip --require-hashes $(addprefix -r ,$(wildcard docker/requirements/*.txt))

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint docker/Dockerfile

wheel: $(VENV)/dev.stamp
	$(BIN)/python -m build --wheel --outdir $(DIST)

# Everything that only a GPU can tell, in so many minutes; REHEARSE=1 runs it small, on a CPU. With WHEELS, a folder that
# `make gpu-kit` gathered, it needs no package index.
OUT ?= runs/check-gpu

check-gpu: MINUTES ?= $(if $(REHEARSE),6,4)
check-gpu: $(if $(WHEELS),,$(VENV)/dev.stamp)
	@PYTHONPATH=tests $(if $(WHEELS),$(PYTHON),$(BIN)/python) -m check_gpu --minutes $(MINUTES) --out $(OUT) \
		$(if $(WHEELS),--wheels $(WHEELS)) $(if $(REHEARSE),--rehearse)

# The checkout and the wheels for a host with a GPU and no package index.
DIR ?= runs/gpu-kit

gpu-kit: $(VENV)/dev.stamp
	@PATH="$(abspath $(BIN)):$$PATH" PYTHONPATH=tests python -m check_gpu.kit $(DIR) $(addprefix --also ,$(ALSO))

# Run `make lock` again after a change of the dependencies; `make lock UPGRADE=--upgrade` takes all newest versions.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes $(UPGRADE) --custom-compile-command 'make lock'
LOCK_WITHOUT_TORCH = $(LOCK) --config-file docker/requirements/uv.toml --no-emit-package torch --no-emit-package torchvision
TORCH = $(shell sed -n 's/^ARG TORCH_VERSION=/torch==/p' docker/Dockerfile)

lock: $(VENV)/dev.stamp
	$(LOCK_WITHOUT_TORCH) --extra serve --extra remote --extra heic --extra tracing -o docker/requirements/server.txt pyproject.toml
	$(LOCK_WITHOUT_TORCH) --extra train --extra remote -o docker/requirements/trainer.txt pyproject.toml
	echo $(TORCH) | $(LOCK) -c docker/requirements/server.txt -o docker/requirements/torch-cuda.txt -
	echo 'hatchling>=1.27' | $(LOCK) -o docker/requirements/build.txt -

# A stamp says that a set of extras is installed; it is out of date when the dependencies change.
$(VENV)/%.stamp: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@
