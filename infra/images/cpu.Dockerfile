# syntax=docker/dockerfile:1
# Server, deployments and CPU workers: everything but a GPU renderer. Built from the root of the repository:
#   docker build -f infra/images/cpu.Dockerfile -t troupe-cpu .
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
WORKDIR /src
RUN python -m venv /opt/troupe
# The lock alone first: an edit of the code installs nothing anew.
COPY infra/requirements.lock infra/requirements.lock
RUN /opt/troupe/bin/pip install --require-hashes --no-deps -r infra/requirements.lock
# Model files are part of the image: a worker has a read-only root and needs no way out to a package index.
COPY pyproject.toml README.md LICENSE ./
COPY flows flows
COPY tasks tasks
COPY s2v_model s2v_model
COPY infra infra
RUN /opt/troupe/bin/pip install --no-deps --no-build-isolation . \
    && TROUPE_CACHE=/opt/models /opt/troupe/bin/troupe doctor --fetch

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 troupe && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp troupe \
    && install --directory --owner=10001 --group=10001 /scratch /episodes
COPY --from=build /opt/troupe /opt/troupe
COPY --from=build /opt/models /opt/models
ENV PATH=/opt/troupe/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp PREFECT_HOME=/tmp/prefect \
    TROUPE_CACHE=/opt/models TROUPE_SCRATCH=/scratch DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false
USER 10001:10001
WORKDIR /episodes
CMD ["troupe", "--help"]
