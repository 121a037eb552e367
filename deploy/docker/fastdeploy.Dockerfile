# ernie-deploy with FastDeploy for NVIDIA GPUs, on PaddlePaddle's public image of one CUDA version. Built
# from the root of the checkout, where there is no need for a GPU:
#
#   docker build -f deploy/docker/fastdeploy.Dockerfile -t ernie-deploy:0.2.0-fastdeploy .
#
# For drivers that support CUDA 12.9:
#   --build-arg BASE=ccr-2vdh3abv-pub.cnc.bj.baidubce.com/paddlepaddle/paddle:3.2.2-gpu-cuda12.9-cudnn9.9
#   --build-arg WHEELS=cu129
ARG BASE=ccr-2vdh3abv-pub.cnc.bj.baidubce.com/paddlepaddle/paddle:3.2.2-gpu-cuda12.6-cudnn9.5

FROM ${BASE} AS wheel
WORKDIR /src
COPY . .
RUN python3 -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${BASE}
ARG WHEELS=cu126
ARG FASTDEPLOY=2.5.0
COPY --from=wheel /wheels /wheels
# The number is part of the contract with Kubernetes' runAsUser and compose's user.
RUN groupadd --gid 10001 ernie \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/ernie-deploy/cache --no-create-home ernie \
    && python3 -m pip install --no-cache-dir /wheels/*.whl \
    && rm -r /wheels
# Where state is, and the engine beside it: only instances/ and cache/ are written at run time. What
# root installs is for root alone, so it is opened for reading.
ENV ERNIE_DEPLOY_HOME=/var/lib/ernie-deploy \
    HOME=/var/lib/ernie-deploy/cache \
    XDG_CACHE_HOME=/var/lib/ernie-deploy/cache \
    PYTHONDONTWRITEBYTECODE=1
# Without a GPU the driver cannot say which wheels fit, so they are named.
RUN ernie-deploy engine install "fastdeploy==${FASTDEPLOY}" --arch "${WHEELS}" \
    && ernie-deploy engine install hub-clients \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/ernie-deploy/instances /var/lib/ernie-deploy/cache \
    && install -d -o 10001 -g 10001 -m 0755 /models \
    && chmod 0755 /var/lib/ernie-deploy \
    && chmod -R a+rX /var/lib/ernie-deploy/engines
USER 10001:10001
VOLUME ["/var/lib/ernie-deploy/instances", "/var/lib/ernie-deploy/cache"]
# The keeper is the first process: it adopts and reaps all others, and SIGTERM drains and stops.
ENTRYPOINT ["ernie-deploy"]
CMD ["up", "/etc/ernie-deploy/profile.yaml", "--foreground"]
