# Two commands: `make demo` and `make test`. Both make their own environment in .venv first.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test clean

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11+ is needed")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[test]"
	@touch $@

demo: $(VENV)/installed
	$(RUN) -m lwg_core demo --output demo

test: $(VENV)/installed
	$(RUN) -m ruff check .
	$(RUN) -m pytest -q

clean:
	rm -rf $(VENV) demo build *.egg-info
