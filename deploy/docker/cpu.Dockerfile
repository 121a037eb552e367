# ernie-deploy with transformers serve and the tiny ERNIE-4.5, for a CPU: to try a cluster out, and for
# tests. Built from the root of the checkout:
#
#   docker build -f deploy/docker/cpu.Dockerfile -t ernie-deploy:0.2.0-transformers .
ARG BASE=docker.io/library/python:3.11.13-slim-bookworm

FROM ${BASE} AS wheel
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${BASE}
COPY --from=wheel /wheels /wheels
# The number is part of the contract with Kubernetes' runAsUser and compose's user.
RUN groupadd --gid 10001 ernie \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/ernie-deploy/cache --no-create-home ernie \
    && pip install --no-cache-dir /wheels/*.whl \
    && rm -r /wheels
# Where state is, and the engine beside it: only instances/ and cache/ are written at run time. What
# root installs is for root alone, so it is opened for reading.
ENV ERNIE_DEPLOY_HOME=/var/lib/ernie-deploy \
    HOME=/var/lib/ernie-deploy/cache \
    XDG_CACHE_HOME=/var/lib/ernie-deploy/cache \
    PYTHONDONTWRITEBYTECODE=1
RUN ernie-deploy engine install transformers \
    && ernie-deploy engine install hub-clients \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/ernie-deploy/instances /var/lib/ernie-deploy/cache \
    && chmod 0755 /var/lib/ernie-deploy \
    && chmod -R a+rX /var/lib/ernie-deploy/engines
COPY profiles/tiny-ernie /models/tiny-ernie
USER 10001:10001
VOLUME ["/var/lib/ernie-deploy/instances", "/var/lib/ernie-deploy/cache"]
# The keeper is the first process: it adopts and reaps all others, and SIGTERM drains and stops.
ENTRYPOINT ["ernie-deploy"]
CMD ["up", "/etc/ernie-deploy/profile.yaml", "--foreground"]
