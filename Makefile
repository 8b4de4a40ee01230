# Needs Python 3.11 to 3.13 and make; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: quickstart test lint results notebooks clean

quickstart: $(READY)
	$(BIN)/aezoo quickstart

test: lint
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

results: $(READY)
	$(BIN)/python -m pytest -m slow
	$(BIN)/aezoo reproduce
	$(BIN)/python benchmarks/quickstart.py
	$(BIN)/python benchmarks/published_recipes.py
	$(BIN)/python benchmarks/unet_brain_mri.py
	$(BIN)/python benchmarks/seq2seq_ecg5000.py
	$(BIN)/python benchmarks/semi_supervised_anomalies.py
	$(BIN)/python benchmarks/detection_ecg5000.py --splits 10
	$(BIN)/python benchmarks/detection_stream.py
	$(BIN)/python benchmarks/false_alarms.py
	$(BIN)/python benchmarks/one_class.py fashion_mnist
	$(BIN)/python benchmarks/one_class.py mnist
	$(BIN)/python benchmarks/one_class.py digits
	$(BIN)/python benchmarks/denoising.py --epochs 12
	$(BIN)/python benchmarks/segmentation.py --seeds 1
	$(BIN)/python benchmarks/search.py --epochs 12 --queries 10000
	$(BIN)/python benchmarks/compression.py --count 10000 --epochs 3 --photo-epochs 4
	$(BIN)/python benchmarks/clustering.py --epochs 30 --refine 6
	$(BIN)/python benchmarks/imputation.py
	$(BIN)/python benchmarks/generation.py --rows 10000 --epochs 15
	$(BIN)/python benchmarks/transfer.py
	$(BIN)/python benchmarks/textures.py
	$(BIN)/python benchmarks/export_parity.py
	$(BIN)/python benchmarks/runtimes.py
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/readme_table.py

notebooks: $(READY)
	$(BIN)/python -m pytest tests/test_notebooks.py

# Installed again only when what is pinned or declared has changed. uv takes a third of pip's time, but
# reads none of pip's settings: where those name an index or a proxy of one's own, pip does it.
WHAT := -c constraints.txt -e ".[test]"
PIP := $(BIN)/python -m pip --disable-pip-version-check
UV := $(BIN)/uv --system-certs pip install --python $(BIN)/python
$(READY): constraints.txt pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" \
	  || { echo "aezoo needs Python 3.11 to 3.13; set PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing TensorFlow and what else constraints.txt pins into $(VENV): a minute or more, once"
	@if ! $(PIP) config list | grep -Eq '\.(index-url|no-index|proxy)=' \
	  && $(PIP) install --quiet -c constraints.txt uv && $(UV) $(WHAT); then :; \
	  else $(PIP) install --no-compile $(WHAT); fi
	touch $(READY)

clean:
	rm -rf $(VENV) build dist *.egg-info
