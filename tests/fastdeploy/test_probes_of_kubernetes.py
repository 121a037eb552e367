"""Why the rendered probes ask the keeper: Kubernetes takes 304 of an engine for a success."""

import http.client
from contextlib import closing
from urllib.parse import urlsplit

import requests

from tests.fastdeploy.conftest import Make
from tests.support.waiting import wait_for


def status_of(url: str) -> int:
    """The status of one plain GET: as httpGet, it follows nothing."""
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=600)) as one:
        one.request("GET", parts.path)
        return one.getresponse().status


def http_get_succeeds(url: str) -> bool:
    """The documented rule of Kubernetes ("Configure Liveness, Readiness and Startup Probes")."""
    return 200 <= status_of(url) < 400


def test_a_server_without_weights_is_ready_for_kubernetes_and_not_for_its_keeper(
    fastdeploy: Make,
) -> None:
    server = fastdeploy(engine_args={"dynamic-load-weight": True}, liveness={"interval": 0.5})
    assert server.up().rc == 0
    engine, keeper = f"http://127.0.0.1:{server.port('api')}", str(server.status()["admin_url"])
    assert http_get_succeeds(f"{engine}/health")
    assert http_get_succeeds(f"{keeper}/readyz")

    cleared = requests.get(f"{engine}/clear_load_weight", timeout=600)
    assert cleared.status_code == 200
    wait_for(lambda: status_of(f"{engine}/health") == 304, "no weights")
    assert http_get_succeeds(f"{engine}/health"), "so a pod without weights would get requests"
    wait_for(lambda: status_of(f"{keeper}/readyz") == 503, "the keeper's own answer")
    assert not http_get_succeeds(f"{keeper}/readyz")
    assert http_get_succeeds(f"{keeper}/livez"), "nothing to replace the pod for: weights come back"
