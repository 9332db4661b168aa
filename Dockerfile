# One image a service: docker build --build-arg SERVICE=importer .
# It holds that service, what is shared, and the packages that it needs; no other service's.
FROM python:3.13-slim AS build
ARG SERVICE
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/venv
COPY requirements/compiler.txt requirements/${SERVICE}.txt /tmp/requirements/
RUN python -m pip --python /opt/venv/bin/python install --require-hashes --only-binary :all: \
    -r /tmp/requirements/${SERVICE}.txt
# The importer's reader is in C. The compiler stays in this stage.
RUN [ "$SERVICE" != importer ] || \
    python -m pip install --require-hashes --only-binary :all: -r /tmp/requirements/compiler.txt
WORKDIR /opt/gexlake
COPY LICENSE ./
COPY gexlake/__init__.py gexlake/environment.py gexlake/
COPY gexlake/api gexlake/api
COPY gexlake/backup gexlake/backup
COPY shared shared
COPY services/__init__.py services/
COPY services/${SERVICE} services/${SERVICE}
RUN { [ "$SERVICE" != importer ] || python -m services.importer.native.build; } && python -m compileall -q .

FROM python:3.13-slim
ARG SERVICE
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin gexlake \
    && mkdir -p /data/source /data/archive \
    && chown -R gexlake:gexlake /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/gexlake /opt/gexlake
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/gexlake \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SERVICE=${SERVICE} \
    GEXLAKE_DATA_DIR=/data
USER 10001:10001
WORKDIR /opt/gexlake
# The shell only fills in the service's name: exec makes way for Python, which then gets the signals.
ENTRYPOINT ["sh", "-c", "exec python -m services.$SERVICE \"$@\"", "gexlake"]
HEALTHCHECK --interval=15s --timeout=6s --start-period=30s --retries=3 CMD exec python -m shared.bus.reports.health $SERVICE
