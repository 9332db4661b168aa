# One image a service: docker build --build-arg SERVICE=importer .
# It holds that service, what is shared, and the packages that it needs; no other service's.
FROM python:3.13-slim AS build
ARG SERVICE
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# The importer has a part in C. The image itself gets neither compiler nor headers.
RUN [ "$SERVICE" != importer ] || { apt-get update -qq && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev python3-dev >/dev/null; }
RUN python -m venv --without-pip /opt/gexlake
WORKDIR /build
COPY requirements/${SERVICE}.txt requirements.txt
RUN python -m pip --python /opt/gexlake/bin/python install --require-hashes --only-binary :all: -r requirements.txt
COPY pyproject.toml setup.py README.md LICENSE ./
COPY services/__init__.py services/
COPY services/${SERVICE} services/${SERVICE}
COPY shared shared
# The distribution's command `gexlake` talks to the services from outside; its code is not in here.
RUN python -m pip --python /opt/gexlake/bin/python install --no-deps . \
    && rm /opt/gexlake/bin/gexlake

FROM python:3.13-slim
ARG SERVICE
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin gexlake \
    && mkdir -p /data/source /data/archive \
    && chown -R gexlake:gexlake /data
COPY --from=build /opt/gexlake /opt/gexlake
ENV PATH=/opt/gexlake/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SERVICE=${SERVICE} \
    GEXLAKE_DATA_DIR=/data
USER 10001:10001
WORKDIR /opt/gexlake
# The shell only fills in the service's name: exec makes way for Python, which then gets the signals.
ENTRYPOINT ["sh", "-c", "exec python -m services.$SERVICE \"$@\"", "gexlake"]
HEALTHCHECK --interval=15s --timeout=6s --start-period=30s --retries=3 CMD exec python -m shared.bus.health $SERVICE
