# sweeper as an image. For CPUs:
#
#   docker build -t sweeper .
#
# For GPUs, with NVIDIA's container toolkit on the host (torch brings its own CUDA libraries):
#
#   docker build -t sweeper --build-arg BASE=nvidia/cuda:13.0.1-base-ubuntu24.04 .
#
# BASE needs apt, or a Python of 3.11 or newer. TORCH_INDEX may name a package index with smaller wheels of torch for CPUs.
# UID should be yours, so that you own the files that a sweep writes.
ARG BASE=python:3.12-slim-bookworm

FROM python:3.12-slim-bookworm AS wheel
WORKDIR /source
COPY pyproject.toml setup.py README.md LICENSE ./
COPY sweeper sweeper
COPY trainers trainers
COPY analysis analysis
COPY search_spaces search_spaces
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM ${BASE}
# hadolint ignore=DL3008
RUN if ! python3 -c "import ensurepip" 2>/dev/null; then \
        apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv \
        && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=wheel /wheel /wheel
ARG TORCH_INDEX=""
RUN python3 -m venv /opt/sweeper \
    && /opt/sweeper/bin/pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} /wheel/*.whl
ARG UID=1000
RUN useradd --create-home --non-unique --uid "$UID" sweeper \
    && install --directory --owner=sweeper /sweeps
ENV PATH="/opt/sweeper/bin:$PATH"
USER $UID
WORKDIR /sweeps
ENTRYPOINT ["sweeper"]
CMD ["--help"]
