"""Which of the caller's environment variables an engine may see.

Engines write their whole environment into logs (FastDeploy: `default.<pod>.log`, `envlog.N` and
`backup_env.N.json`, measured on 2.4), so what is not on this list is not passed: a token that
happens to be exported in a person's shell must not end up in a log file.
"""

from __future__ import annotations

from collections.abc import Mapping

PASSED: Mapping[str, str] = {
    "PATH": "compilers and tools the engine calls",
    "HOME": "download and compiler caches",
    "USER": "some libraries name their cache folders by it",
    "LOGNAME": "the same",
    "LANG": "text encoding",
    "LANGUAGE": "text encoding",
    "LC_*": "text encoding",
    "TZ": "times in logs",
    "TERM": "colour and progress bars",
    "COLUMNS": "width of progress bars",
    "XDG_CACHE_HOME": "compiler caches",
    "http_proxy": "model downloads",
    "https_proxy": "model downloads",
    "all_proxy": "model downloads",
    "no_proxy": "model downloads, and loopback must not go through a proxy",
    "HTTP_PROXY": "model downloads",
    "HTTPS_PROXY": "model downloads",
    "ALL_PROXY": "model downloads",
    "NO_PROXY": "model downloads, and loopback must not go through a proxy",
    "SSL_CERT_FILE": "certificates of a site's own authority",
    "SSL_CERT_DIR": "certificates of a site's own authority",
    "REQUESTS_CA_BUNDLE": "certificates of a site's own authority",
    "CURL_CA_BUNDLE": "certificates of a site's own authority",
    "LD_LIBRARY_PATH": "CUDA, NCCL and cuDNN where the system's linker does not know them",
    "CUDA_HOME": "kernels compiled at run time",
    "CUDA_PATH": "kernels compiled at run time",
    "CUDA_VISIBLE_DEVICES": "a job scheduler's choice of GPUs, where the profile names none",
    "CUDA_DEVICE_ORDER": "numbering of GPUs",
    "NVIDIA_*": "the container runtime's choice of GPUs and driver features",
    "NCCL_*": "network interfaces and topology of this site",
    "GLOO_SOCKET_IFNAME": "network interface of this site",
    "UCX_*": "RDMA transport of this site",
    "HF_ENDPOINT": "a mirror of the model hub",
    "CC": "kernels compiled at run time",
    "CXX": "kernels compiled at run time",
    "OMP_NUM_THREADS": "threads on a shared machine",
    "MKL_NUM_THREADS": "threads on a shared machine",
}
"""Variable, or `PREFIX_*`, and why an engine needs it from its caller."""

PASS_ENV: tuple[str, ...] = tuple(PASSED)
"""The names alone, for `LaunchPlan.pass_env`."""
