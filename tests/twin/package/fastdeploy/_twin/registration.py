"""An instance with ``--router`` registers itself: common_engine.py, _register_to_router.

Once its own /health is good it sends its address and role: 2.4 tries every 10 s until the router
takes it, 2.5 and later repeat it every 5 s as a heartbeat. The address is the machine's
(``get_host_ip``), whatever ``--host`` is: a server that listens on loopback alone is not reached
there, which an address without a listener stands for here.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from typing import Any

from fastdeploy._twin import clock, logs, ports, release
from fastdeploy._twin.checks import Config
from fastdeploy._twin.router import is_well

ONCE_INTERVAL, HEARTBEAT_INTERVAL = 10.0, 5.0
FLOOR = 0.1
"""Real seconds between two tries at least."""
NOT_REACHED = "127.0.0.99"


def begin(config: Config) -> None:
    """Register in the background; nothing without ``--router``."""
    router = getattr(config.args, "router", None)
    if not router or not release.at_least("2.4"):
        return
    address = str(router).removeprefix("http://")
    threading.Thread(target=_register, args=(config, address), daemon=True).start()


def _register(config: Config, router: str) -> None:
    heartbeat = release.at_least("2.5")
    pause = max(clock.scaled(HEARTBEAT_INTERVAL if heartbeat else ONCE_INTERVAL), FLOOR)
    own = {"host_ip": "127.0.0.1", "port": config.args.port}
    message = False
    while True:
        time.sleep(pause)
        if not is_well(own):
            continue
        status = _post(router, _info(config))
        if status == 200:
            if not message:
                logs.log("fastdeploy", "Register to router successfully", "common_engine.py", 1200)
            message = True
            if not heartbeat:
                return
        else:
            text = f"Router registration failed: {status}"
            logs.log("fastdeploy", text, "common_engine.py", 1204, "ERROR")


def _info(config: Config) -> dict[str, Any]:
    args = config.args
    everywhere = args.host in ports.EVERYWHERE
    return {
        "role": getattr(args, "splitwise_role", None) or "mixed",
        "host_ip": "127.0.0.1" if everywhere else NOT_REACHED,
        "port": args.port,
        "connector_port": config.comm_port,
        "engine_worker_queue_port": config.queue_port,
        "device_ids": config.devices.split(","),
        "transfer_protocol": str(getattr(args, "cache_transfer_protocol", None) or "ipc").split(
            ","
        ),
        "pid": os.getpid(),
    }


def _post(router: str, info: dict[str, Any]) -> int | None:
    host, _, port = router.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    try:
        connection.request(
            "POST", "/register", json.dumps(info), {"Content-Type": "application/json"}
        )
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
