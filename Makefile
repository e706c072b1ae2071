# The few verbs of the project; each does its own set-up. Needs Python 3.11 or later and make, nothing else.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
V2_VENV := .venv-sagemaker-v2
BIN := $(VENV)/bin
UV := $(BIN)/uv
# Steps are short-lived processes: bytecode is compiled at install, and caches stay on where a machine turns them off.
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV
unexport PYTHONPATH
export UV_COMPILE_BYTECODE := 1
ARGS ?=
STACK ?= training-metrics

.PHONY: help run test test-k8s lint generate bench component lock deploy clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.bootstrap: requirements/bootstrap.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

$(VENV)/.local: $(VENV)/.bootstrap requirements/local.txt setup.py pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/local.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.local requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

# The SageMaker Python SDK v2 cannot share an environment with v3: the compatibility tests run it from its own.
$(V2_VENV)/.installed: $(VENV)/.bootstrap requirements/sagemaker-v2.txt
	$(PYTHON) -m venv --without-pip $(V2_VENV)
	$(UV) pip install --quiet --python $(V2_VENV)/bin/python --require-hashes -r requirements/sagemaker-v2.txt
	@touch $@

run: $(VENV)/.local ## Run the housing pipeline on the embedded AWS (ARGS="--help" for options)
	$(BIN)/kfp-sagemaker run housing_mme $(ARGS)

test: $(VENV)/.dev $(V2_VENV)/.installed ## Run the test suite (ARGS="tests/aws -k name")
	$(BIN)/python -m pytest $(ARGS)

test-k8s: $(VENV)/.dev ## Test against a real Kubernetes API, built once (ARGS="-k rotate"); takes minutes the first time
	@programs="$$($(BIN)/python scripts/kubernetes_binaries.py)" && \
	PATH="$$programs:$$PATH" $(BIN)/python -m pytest -n 0 -m "" --durations 5 tests/kubernetes tests/manifests/test_manifests.py $(ARGS)

lint: $(VENV)/.dev ## ruff, mypy --strict, pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(VENV)/.dev ## Write everything generated: image URIs, compiled pipelines, reference, coverage table
	$(BIN)/python scripts/generate.py

bench: $(VENV)/.dev ## Measure, one JSON line a figure (ARGS="publish" for one group)
	$(BIN)/python -m benchmarks $(ARGS)

component: $(VENV)/.dev ## Scaffold a component: make component NAME=verb_noun CAPABILITY=training
	$(BIN)/python scripts/new_component.py --name "$(NAME)" --capability "$(CAPABILITY)"

lock: $(VENV)/.bootstrap ## Resolve every lock file anew
	$(BIN)/python scripts/lock.py

deploy: ## Deploy the HTTPS service of training metrics to AWS (BUCKET=for-its-code ARGS="Authorization=JWT ...")
	@template="$$(mktemp)" && trap 'rm -f "$$template"' EXIT && \
	aws cloudformation package --template-file manifests/aws/training-metrics-service.yaml \
	    --s3-bucket "$(or $(BUCKET),$(error BUCKET is missing: the S3 bucket for the function's code))" \
	    --s3-prefix $(STACK) --output-template-file "$$template" > /dev/null && \
	aws cloudformation deploy --template-file "$$template" --stack-name $(STACK) --capabilities CAPABILITY_IAM \
	    --no-fail-on-empty-changeset $(if $(ARGS),--parameter-overrides $(ARGS)) && \
	aws cloudformation describe-stacks --stack-name $(STACK) --query 'Stacks[0].Outputs[].[OutputKey, OutputValue]' --output text

clean: ## Remove what the other verbs made
	rm -rf $(VENV) $(V2_VENV) build dist runs *.egg-info
