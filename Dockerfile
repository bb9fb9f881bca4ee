# etl in an image: `docker build -t etl .` in the checkout; docs/operations.md#in-a-container says how to use it.
# The wheel is made of what a commit holds, and nothing but its environment goes into the image.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE CHANGELOG.md ./
COPY declared_etl declared_etl
COPY engine engine
COPY fleet fleet
COPY sandbox sandbox
COPY transforms transforms
COPY workbench workbench
COPY connectors connectors
COPY schemas schemas
COPY specs specs
COPY templates templates
RUN pip wheel --no-deps --wheel-dir /wheels .
RUN python -m venv /opt/etl && /opt/etl/bin/pip install --no-cache-dir "$(echo /wheels/*.whl)[sandbox,fleet]"

FROM python:3.13-slim
COPY --from=build /opt/etl /opt/etl
RUN useradd --create-home --uid 1000 etl && mkdir /project && chown etl: /project
ENV PATH=/opt/etl/bin:$PATH PYTHONUNBUFFERED=1
USER etl
WORKDIR /project
VOLUME /project
ENTRYPOINT ["etl"]
CMD ["--help"]
