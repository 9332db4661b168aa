# The command line in an image of its own: docker compose --profile chronox up
FROM python:3.13-slim
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin gexlake
COPY requirements/cli.txt /tmp/requirements/
RUN python -m pip install --require-hashes --only-binary :all: -r /tmp/requirements/cli.txt
WORKDIR /opt/gexlake
COPY LICENSE ./
COPY gexlake gexlake
RUN python -m compileall -q .
USER 10001:10001
ENTRYPOINT ["python", "-m", "gexlake.cli"]
