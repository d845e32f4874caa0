# The lake as an image: one process, an ordinary user, a root file system that may be read-only. What it writes is
# under /data/lake (a volume) and /tmp. The tag names one Python; add its digest where your registry shows it.
ARG BASE=docker.io/library/python:3.11.14-slim-bookworm

# ---------------------------------------------------------------- what is installed
FROM ${BASE} AS build

ENV PIP_NO_INPUT=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /opt/bioreactor_lake
COPY requirements-container.lock ./
# A package index of your own: --secret id=pip.conf,src=pip.conf. One package has no wheel, it is plain Python.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --no-compile --require-hashes \
        --only-binary :all: --no-binary antlr4-python3-runtime -r requirements-container.lock

# What no run comes to: tests of libraries and headers to build against them, Arrow Flight, and AWS services that have
# nothing to do with reading a bucket.
WORKDIR /opt/venv/lib/python3.11/site-packages
RUN find . -type d \( -name tests -o -path ./pyarrow/include -o -path ./numpy/_core/include \) -prune -exec rm -rf {} + \
    && find pyarrow -name '*flight*' -delete \
    && find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name 'sso*' ! -name signin \
        -exec rm -rf {} + \
    # Nothing can be compiled at run time: the root file system is read-only.
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x /templates/ .

WORKDIR /opt/bioreactor_lake
COPY pyproject.toml .telemetry ./
COPY conf conf
COPY src src
RUN python -m compileall -q --invalidation-mode unchecked-hash src && rm requirements-container.lock

# Cron has an environment of its own: its versions are not the lake's.
FROM ${BASE} AS build-scheduler

WORKDIR /build
COPY requirements-scheduler.lock ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/cron \
    && python -m pip --python /opt/cron/bin/python install --disable-pip-version-check --require-hashes \
        --only-binary :all: --no-binary crontab -r requirements-scheduler.lock

# The lake's environment with Dagster in it.
FROM build AS build-dagster

COPY requirements-dagster.lock /build/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /opt/venv/bin/python install --require-hashes --only-binary :all: \
        --no-binary antlr4-python3-runtime -r /build/requirements-dagster.lock

# ---------------------------------------------------------------- what runs
FROM ${BASE} AS runtime

# pip and what comes with it would be the only tools to build with.
RUN python -m pip uninstall --yes --quiet --root-user-action ignore setuptools wheel pip \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x /tests/ \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && groupadd --gid 10001 lake \
    && useradd --uid 10001 --gid lake --no-create-home --home-dir /tmp --shell /usr/sbin/nologin lake \
    && install --directory --owner lake --group lake /data/lake /data/lake/raw /data/lake/raw/bioreactor /data/lake/landing

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DO_NOT_TRACK=1 \
    HOME=/tmp \
    BIOREACTOR_LAKE_RAW=/data/lake/raw/bioreactor \
    BIOREACTOR_LAKE_LANDING=/data/lake/landing \
    BIOREACTOR_LAKE_WAREHOUSE=/data/lake/warehouse/bioreactor.duckdb \
    BIOREACTOR_LAKE_LINEAGE_FILE=/data/lake/lineage/events.jsonl \
    BIOREACTOR_LAKE_REPORTS=/data/lake/reports \
    BIOREACTOR_LAKE_LOG_FILE=/data/lake/logs/lake.log \
    BIOREACTOR_LAKE_LOG=json

WORKDIR /opt/bioreactor_lake
USER 10001:10001
VOLUME /data/lake

# An init, so that SIGTERM ends a run at whatever moment it comes: a first process is not killed by default.
ENTRYPOINT ["dumb-init", "--single-child", "--"]
CMD ["kedro", "run"]

FROM runtime AS lake

COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/bioreactor_lake /opt/bioreactor_lake

# ---------------------------------------------------------------- the same every night
FROM lake AS scheduler

COPY --from=build-scheduler /opt/cron /opt/cron
COPY --chmod=755 deploy/compose/scheduler/start.sh /opt/cron/start.sh
# Signals go to cron and to the run that it has started.
ENTRYPOINT ["dumb-init", "--"]
CMD ["/opt/cron/start.sh"]

# ---------------------------------------------------------------- under Dagster
FROM runtime AS dagster

USER 0:0
RUN install --directory --owner lake --group lake /data/dagster
USER 10001:10001
COPY --from=build-dagster /opt/venv /opt/venv
COPY --from=build-dagster /opt/bioreactor_lake /opt/bioreactor_lake
ENV DAGSTER_HOME=/data/dagster \
    PYTHONPATH=/opt/bioreactor_lake/src
EXPOSE 3000
ENTRYPOINT ["dumb-init", "--"]
CMD ["dagster-webserver", "--host", "0.0.0.0", "--port", "3000", "--module-name", "bioreactor_lake.orchestration.definitions"]

# What `docker build .` makes is the lake alone.
FROM lake
