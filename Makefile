# make demo   install, then the grid crop,color,blur on the embedded data: some minutes on two CPU cores (DEMO: flags)
# make test   install, then the tests
# make check  lint, types, tests
# make test-slurm   as root: install Slurm where it lacks, start a private cluster and test on it (five to ten minutes)
# make test-browser  the report's page in headless Chromium, which root can install on Debian (half a minute)
# make test-peers  exported recipes in albumentations, lightly and DALI, which it installs (a minute)
# make test-lowest, test-newest  with the lowest and the newest allowed versions, which uv resolves (some minutes)
# make docs   the site of these pages in build/site; a broken link or an undocumented public name fails (half a minute)
# make bench  every benchmark and docs/performance.md (an hour); bench-gpu: the part for a GPU (eight minutes)
# make real IMAGES=~/images  the grids of docs/real-images.md on CPUs (18 CPU hours); real-gpu: a part of them on a GPU (ten minutes)
# Nothing else here needs root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test test-slow test-browser test-slurm test-peers test-lowest test-newest lint types kernels check docs bench bench-gpu real real-gpu clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ablate needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing ablate and what it needs into $(VENV): torch is large, this takes minutes"
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev,docs]'
# pip would compile on one core. It ignores files for other versions of Python, too.
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	touch $@

demo: $(STAMP)
	$(BIN)/ablate grid --ops crop,color,blur --out results/demo $(DEMO)
	@echo "heatmap: results/demo/report/heatmap.png"

# One thread in each process: libraries that start one for each core wait for one another where tests run side by side.
# Bytecode is kept, although images of Python for containers turn that off: pytest takes 5 s to rewrite the tests.
test test-slow test-browser test-slurm test-peers test-lowest test-newest: export OMP_NUM_THREADS = 1
test test-slow test-browser test-slurm test-peers test-lowest test-newest: export PYTHONDONTWRITEBYTECODE =

# As many processes as cores: these tests compute, and each process takes 13 s of CPU to import and collect them. The
# slow ones also wait.
test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow and not browser and not slurm and not peers" -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow -n 4 --dist loadscope --no-loadscope-reorder

test-browser: $(STAMP)
	tests/browser/install
	$(BIN)/python -m pytest -m browser tests/browser

test-slurm: $(STAMP)
	tests/slurm/install
	$(BIN)/python -m pytest -m slurm tests/slurm -n 3 --dist worksteal

# In an environment of its own: DALI and OpenCV are large, and lightly may ask for other versions.
test-peers: build/peers/.installed
	build/peers/bin/python -m pytest -m peers tests/peers

build/peers/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv build/peers
	build/peers/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,peers]'
	touch $@

# What depends most on versions. Warnings of old and new ones are let pass. UV_TORCH_BACKEND=cpu asks for torch without CUDA.
VERSIONS := tests/test_config.py tests/test_experiment_file.py tests/test_help.py tests/test_api.py tests/test_export.py \
  tests/test_encoders.py tests/ops/test_contract.py tests/report/test_targets.py

test-lowest: RESOLUTION := lowest-direct
test-newest: RESOLUTION := highest
test-lowest test-newest:
	@command -v uv >/dev/null || { echo "this needs uv: pip install uv"; exit 1; }
	uv venv --quiet --clear --python $(PYTHON) build/$@
	uv pip install --quiet --python build/$@ --resolution $(RESOLUTION) -e '.[dev]'
	build/$@/bin/python -m pytest -o filterwarnings=default -m "not slow" $(VERSIONS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

kernels: $(STAMP)
	$(BIN)/python -m tests.support.kernels

check: lint types test

docs: $(STAMP)
	$(BIN)/python docs/site/pages.py build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

BENCHMARKS := augmentation ops launches training_step compiling evaluation throughput startup scaling memory data scale many_gpus

bench: $(VENV)/.bench
	set -e; for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name; done
	$(BIN)/python -m benchmarks.page

bench-gpu: $(STAMP)
	$(BIN)/python -m benchmarks.gpu
	$(BIN)/python -m benchmarks.many_gpus
	$(BIN)/python -m benchmarks.page

# Fashion-MNIST is read from its official files, the others from folders of images: docs/real-images.md says what lies where.
IMAGES ?= ~/images
REAL := folder:cifar10 folder:blood-cells folder:plankton12 folder:spoken-digits fashion-mnist:fashion-mnist

real: $(STAMP)
	set -e; for set in $(REAL); do \
	  $(BIN)/ablate grid --ops 'crop(flip_p=0),flip,rotate,color,cutout' --limit 5000 --seeds 3 --references --device cpu \
	    --data $${set%%:*}:$(IMAGES)/$${set#*:} --out results/real-$${set#*:}; \
	done
	$(BIN)/python -m benchmarks.real

real-gpu: $(STAMP)
	$(BIN)/python -m benchmarks.real_gpu --images $(IMAGES)

$(VENV)/.bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
