# A server that reads, and does nothing else: no torch, no compiler, no pip in what is served from. See docs/installing.md.
#
#     docker build -t downstroke-reader .
#     docker run --rm --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 -e DOWNSTROKE_TOKEN downstroke-reader
#
# Uploads of more than a megabyte lie in /tmp while they are read.

FROM python:3.11-slim AS built
WORKDIR /build
RUN python -m venv --without-pip /opt/downstroke
COPY constraints.txt ./
COPY requirements/server.txt requirements/
# Without bytecode: 24 MB less, for half a second more at the start.
RUN python -m pip --python /opt/downstroke/bin/python install --no-cache-dir --no-compile -r requirements/server.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN python -m pip --python /opt/downstroke/bin/python install --no-cache-dir --no-compile --no-deps .

FROM python:3.11-slim
COPY --from=built /opt/downstroke /opt/downstroke
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["/opt/downstroke/bin/python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# The token comes from the environment, DOWNSTROKE_TOKEN; without it a random one is printed at the start.
ENTRYPOINT ["/opt/downstroke/bin/downstroke", "studio", "--read-only", "--no-browser", "--host", "0.0.0.0", "--port", "8000", "--runs-dir", "/runs"]
