# make demo | test | lint     in a virtual environment that is made when missing
# make docs                   the site, in docs/_build/html; all examples are run
# make check-docs             its links, and its pages in Chromium
# make test-clients           scikit-learn's own tests and libraries around it, in another
#                             environment, and why some tests are skipped
# make stress                 200 interrupted fits, 700 processes that are killed
# make fuzz                   10,000 random cases of the laws in tests/test_fuzz.py, and
#                             1,700 changed bits and 1,700 cut files
# make audit                  known vulnerabilities and licences of what is installed
# make test-oldest            in another one, with the oldest promised dependencies
# make test PYTHON=python3.12 made with another Python
# make test VENV=             in PYTHON as it is: nothing is made, nothing installed

PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= onnx,plot,test

ifeq ($(VENV),)
run := PYTHONPATH=. $(PYTHON)
else
run := $(VENV)/bin/python
installed := $(VENV)/installed
endif

.PHONY: demo test docs run-docs check-docs run-check-docs test-clients run-clients audit fuzz test-oldest stress lint

demo: $(installed)
	$(run) docs/gallery/plot_digits.py

# A process for each core, each with one thread (tests/conftest.py).
test: $(installed)
	$(run) -m pytest --numprocesses auto

docs:
	$(MAKE) run-docs VENV=$(and $(VENV),.venv-docs) EXTRAS=docs,onnx,plot

run-docs: $(installed)
	OMP_NUM_THREADS=1 $(run) -m sphinx --fail-on-warning --keep-going -b html docs docs/_build/html

check-docs:
	$(MAKE) run-check-docs VENV=$(and $(VENV),.venv-docs) EXTRAS=docs,onnx,plot

run-check-docs: $(installed)
	$(run) docs/check_pages.py

test-clients:
	$(MAKE) run-clients VENV=$(and $(VENV),.venv-clients) EXTRAS=onnx,plot,test,clients

run-clients: $(installed)
	$(run) -m pytest tests/clients -rs --numprocesses auto

stress: $(installed)
	OMP_NUM_THREADS=1 $(run) tests/stress_processes.py

# Other cases with SEED=1, 2, ...
SEED ?= 0
fuzz: $(installed)
	SKAE_SEED=$(SEED) $(run) -m pytest tests/test_fuzz.py tests/test_files.py --numprocesses auto \
		--hypothesis-profile=fuzz

audit: $(installed)
	$(run) -m pip install --quiet pip-audit pip-licenses
	$(run) -m pip_audit
	$(run) -m piplicenses

test-oldest:
	PYTHON=$(PYTHON) .ci/test-oldest

lint: $(installed)
	$(run) -m ruff check .
	$(run) -m ruff format --check .
	$(run) -m codespell_lib
	$(run) -m mypy

$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@
