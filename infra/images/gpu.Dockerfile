# syntax=docker/dockerfile:1
# GPU workers: Wan2.2-S2V on CUDA. Built from the root of the repository:
#   docker build -f infra/images/gpu.Dockerfile -t troupe-gpu .
# torch brings the CUDA libraries; the host needs the NVIDIA driver and container toolkit. Weights are mounted.
FROM python:3.11-slim-bookworm AS build
ARG TORCH=2.13.0
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
WORKDIR /src
# torch by its version first, since its builds differ by card; the rest then finds it there and fetches no other.
RUN python -m venv /opt/troupe && /opt/troupe/bin/pip install "torch==${TORCH}"
COPY infra/requirements-gpu.lock infra/requirements-gpu.lock
RUN /opt/troupe/bin/pip install --require-hashes --no-deps -r infra/requirements-gpu.lock \
    && /opt/troupe/bin/pip check
COPY pyproject.toml README.md LICENSE ./
COPY flows flows
COPY tasks tasks
COPY s2v_model s2v_model
COPY infra infra
RUN /opt/troupe/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 troupe && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp troupe \
    && install --directory --owner=10001 --group=10001 /scratch
COPY --from=build /opt/troupe /opt/troupe
ENV PATH=/opt/troupe/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp PREFECT_HOME=/tmp/prefect \
    TROUPE_SCRATCH=/scratch TROUPE_ENGINES__WAN_CHECKPOINT=/weights DO_NOT_TRACK=1 HF_HUB_OFFLINE=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
WORKDIR /scratch
CMD ["troupe", "--help"]
