#!/usr/bin/env python3
"""Write the targets of Prometheus (file_sd) from `ernie-deploy status --json`.

    write_targets.py FOLDER [--address HOST] [--command ernie-deploy]

FOLDER/keepers.json has the keeper of each instance, FOLDER/engines.json the engine's own metrics of
each one that runs, FOLDER/doors.json the front door of each service. Each is replaced in one step,
also when nothing changed: their age shows that this program still runs. It needs only Python's
standard library. Run it every half a minute as the user of the instances, with cron or with
ernie-deploy-targets.timer beside this file.

Each target has the label `instance`. An instance that has ended without a request (failed, died,
lost) stays a target, with its state as the label `ended`, until `ernie-deploy down`. A service has
its condition (serving, degraded, down, changing, interrupted) as the label `condition`; a front
door tells its metrics to this machine only, so with --address it has the label `unscraped`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

ENDED = ("failed", "died", "lost")
RUNNING = ("starting", "loading", "ready", "stopping")
LARGEST = 4 * 1024 * 1024
"""Bytes of a keeper's metrics; they have some 10 KiB."""
SECONDS = 5.0
"""For one keeper, which answers within milliseconds."""
ENGINE = re.compile(r'^ernie_deploy_engine_metrics_info\{.*url="([^"\\]+)".*\} 1$', re.MULTILINE)


def main() -> int:
    """Write all files, or leave all as they are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("folder", type=Path, help="where keepers.json and engines.json belong")
    parser.add_argument(
        "--address",
        default="",
        help="the address of this machine for a Prometheus on another one (needs admin-host)",
    )
    parser.add_argument("--command", default="ernie-deploy", help="the ernie-deploy to run")
    options = parser.parse_args()
    try:
        instances, services = read_status(options.command)
        keepers, engines = targets(instances, options.address)
        doors = door_targets(services, instances, options.address)
        options.folder.mkdir(parents=True, exist_ok=True)
        written = (("keepers.json", keepers), ("engines.json", engines), ("doors.json", doors))
        for name, groups in written:
            write(options.folder / name, json.dumps(groups, indent=1) + "\n")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"write_targets: {error}\n")
        return 1
    return 0


def read_status(command: str) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The instances and services of `status --json`; its exit code is 1 where one is not well."""
    done = subprocess.run(
        [command, "status", "--json"], capture_output=True, text=True, timeout=60, check=False
    )
    lines = done.stdout.strip().splitlines()
    try:
        data = json.loads(lines[-1])["data"]
        instances, services = data["instances"], data.get("services", [])
    except (IndexError, KeyError, TypeError, ValueError):
        reason = done.stderr.strip() or f"exit code {done.returncode}"
        raise ValueError(f"`{command} status --json` did not work: {reason}") from None
    return list(instances), list(services)


def targets(
    instances: list[dict[str, object]], address: str
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The target groups of the keepers and of the engines."""
    keepers: list[dict[str, object]] = []
    engines: list[dict[str, object]] = []
    used = {one.get("admin_url") for one in instances if one.get("state") in RUNNING}
    for one in instances:
        name, state = str(one["name"]), str(one.get("state"))
        url = str(one.get("admin_url") or "")
        if state in ENDED:
            # Its port may be another instance's by now, which is scraped once only.
            there = host_and_port(url, address) if url not in used else ""
            labels = {"instance": name, "ended": state}
            keepers.append(group(there or "ended.invalid:9", labels))
        elif state in RUNNING and url.startswith("http"):
            keepers.append(group(host_and_port(url, address), {"instance": name}))
            engine = engine_url(url)
            if engine:
                path = urlsplit(engine).path or "/metrics"
                labels = {"instance": name, "__metrics_path__": path}
                engines.append(group(host_and_port(engine, address), labels))
        elif state in RUNNING:
            why = "its endpoint is a Unix socket" if url else "it has no endpoint"
            sys.stderr.write(f"write_targets: {name} cannot be scraped: {why}\n")
    return keepers, engines


def door_targets(
    services: list[dict[str, object]], instances: list[dict[str, object]], address: str
) -> list[dict[str, object]]:
    """The target groups of the front doors; a stopped service has none."""
    doors = {str(one["name"]): one for one in instances}
    groups = []
    for service in services:
        name, condition = str(service["name"]), str(service.get("condition"))
        if condition == "stopped":
            continue
        ports = doors.get(f"{name}-door", {}).get("ports")
        number = ports.get("stats") if isinstance(ports, dict) else None
        labels = {"instance": name, "condition": condition}
        if address:
            labels["unscraped"] = "true"
        there = f"127.0.0.1:{number}" if number and not address else "ended.invalid:9"
        groups.append(group(there, labels))
    return groups


def group(target: str, labels: dict[str, str]) -> dict[str, object]:
    """One target and its labels, as file_sd has them."""
    return {"targets": [target], "labels": labels}


def host_and_port(url: str, address: str) -> str:
    """`HOST:PORT` of `url`, at `address` where one is given; empty for a Unix socket."""
    if not url.startswith("http"):
        return ""
    parts = urlsplit(url)
    host = address or parts.hostname or ""
    return f"[{host}]:{parts.port}" if ":" in host else f"{host}:{parts.port}"


def engine_url(keeper: str) -> str:
    """Where the engine's own metrics are, by its keeper; empty where that does not tell."""
    parts = urlsplit(keeper)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read(LARGEST).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""  # it ends at this moment, or it hangs: the alert rules see that
    finally:
        connection.close()
    match = ENGINE.search(text)
    return match[1] if match else ""


def write(path: Path, text: str) -> None:
    """Replace `path` in one step, readable for Prometheus' user."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


if __name__ == "__main__":
    sys.exit(main())
