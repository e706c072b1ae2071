# The image every step runs in. Its name and tag are one constant, RUNTIME_IMAGE in components/kfp_sagemaker/_component.py;
# the tag is the version:
#
#   docker build --build-arg VERSION=$(python setup.py --version) -t ghcr.io/kfp-sagemaker/kfp-sagemaker-python:$(python setup.py --version) .

FROM python:3.12-slim AS build
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_NO_CACHE=1
COPY requirements/bootstrap.txt requirements/core.txt requirements/
# A step lives for seconds and imports once: bytecode is compiled here, or each pod would compile it again.
RUN python -m pip install --require-hashes -r requirements/bootstrap.txt \
    && python -m venv --without-pip /opt/kfp-sagemaker \
    && uv pip install --python /opt/kfp-sagemaker/bin/python --compile-bytecode --require-hashes -r requirements/core.txt
COPY setup.py pyproject.toml README.md LICENSE ./
COPY components/ components/
COPY emulator/ emulator/
RUN uv build --wheel --out-dir dist . \
    && uv pip install --python /opt/kfp-sagemaker/bin/python --compile-bytecode --no-deps dist/*.whl

FROM python:3.12-slim
ARG VERSION
LABEL org.opencontainers.image.title="kfp-sagemaker-python" \
      org.opencontainers.image.description="Runtime of the steps of kfp-sagemaker, Kubeflow Pipelines components for Amazon SageMaker" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /opt/kfp-sagemaker /opt/kfp-sagemaker
# KFP starts a step with `python3` from the PATH. Whatever is written at run time goes to /tmp: the user owns nothing else.
ENV PATH=/opt/kfp-sagemaker/bin:$PATH \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, because Kubernetes' runAsNonRoot cannot look a name up.
USER 10001:0
WORKDIR /tmp
CMD ["kfp-sagemaker", "--help"]
