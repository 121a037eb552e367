"""A server over several nodes as a LeaderWorkerSet, and weights that an init container pulls.

The controller's own schema is not part of Kubernetes: the pods in it are checked as a Deployment's.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher.errors import DeployError
from launcher.render import container
from launcher.render.rendering import render
from tests.render.examples import load
from tests.render.test_kubernetes import (
    LARGE,
    MINORS,
    TINY,
    documents,
    find,
    kustomize,
    problems,
    texts,
    write,
)

TWO_NODES = ("tensor-parallel-size=16", "render.nodes=2")


def templates(files: dict[str, str]) -> tuple[Any, Any]:
    group = find(files, "LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]
    return group["leaderTemplate"], group["workerTemplate"]


def test_a_replica_over_two_nodes_is_a_group_of_two_pods() -> None:
    files = texts(LARGE, *TWO_NODES, replicas=3)
    one = find(files, "LeaderWorkerSet")
    assert one["spec"]["replicas"] == 3
    assert one["spec"]["leaderWorkerTemplate"]["size"] == 2
    assert one["spec"]["rolloutStrategy"]["rollingUpdateConfiguration"] == {
        "maxUnavailable": 0, "maxSurge": 1,
    }  # fmt: skip
    assert not [second for second in documents(files) if second["kind"] == "Deployment"]
    for template in templates(files):
        (server,) = template["spec"]["containers"]
        assert server["resources"]["limits"]["nvidia.com/gpu"] == "8", "of each node"


def test_addresses_in_the_profile_say_the_number_of_nodes() -> None:
    files = texts(LARGE, "tensor-parallel-size=16", 'engine-args={ips: "10.0.0.1,10.0.0.2"}')
    assert find(files, "LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]["size"] == 2
    assert "LeaderWorkerSet" not in texts(LARGE)["base/workload.yaml"]


@pytest.mark.parametrize("minor", MINORS)
def test_the_schema_of_pods_accepts_both(minor: str) -> None:
    files = texts(LARGE, *TWO_NODES, "render.weights=pulled", "api-key=env:KEY")
    deployment = find(texts(LARGE), "Deployment")
    for template in templates(files):
        deployment["spec"]["template"] = template
        assert problems(deployment, minor) is None


def test_only_the_first_pod_answers_requests() -> None:
    files = texts(LARGE, *TWO_NODES)
    leader, worker = (template["spec"]["containers"][0] for template in templates(files))
    selector = find(files, "Service")["spec"]["selector"]
    assert selector["leaderworkerset.sigs.k8s.io/worker-index"] == "0"
    assert "readinessProbe" in leader
    assert "readinessProbe" not in worker
    assert "health.completion=false" in worker["args"]
    assert "health.completion=false" not in leader["args"]
    for server in (leader, worker):
        assert "restart.policy=never" in server["args"], "a group is made anew as a whole"


def test_pods_of_a_group_reach_each_other() -> None:
    rules = find(texts(LARGE, *TWO_NODES), "NetworkPolicy")["spec"]["ingress"]
    (among,) = [rule for rule in rules if "ports" not in rule]
    (source,) = among["from"]
    assert source["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == load(LARGE).name
    alone = find(texts(LARGE), "NetworkPolicy")["spec"]["ingress"]
    assert not [rule for rule in alone if "ports" not in rule]


def test_a_group_kustomizes(tmp_path: Path) -> None:
    folder = write(texts(LARGE, *TWO_NODES, replicas=3), tmp_path)
    by_kind = {one["kind"]: one for one in kustomize(folder / "base")}
    name = by_kind["ConfigMap"]["metadata"]["name"]
    group = by_kind["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
    for template in ("leaderTemplate", "workerTemplate"):
        volumes = group[template]["spec"]["volumes"]
        assert [one["configMap"]["name"] for one in volumes if "configMap" in one] == [name]
    staged = {one["kind"]: one for one in kustomize(folder / "overlays" / "staging")}
    assert staged["LeaderWorkerSet"]["spec"]["replicas"] == 1
    production = {one["kind"]: one for one in kustomize(folder / "overlays" / "production")}
    assert "replicas" not in production["LeaderWorkerSet"]["spec"], "KEDA decides"
    assert production["ScaledObject"]["spec"]["scaleTargetRef"]["kind"] == "LeaderWorkerSet"


def test_the_script_asks_for_every_address(tmp_path: Path) -> None:
    """Run with stand-ins for the name service and for ernie-deploy."""
    script = tmp_path / "nodes.sh"
    script.write_text(texts(LARGE, *TWO_NODES)["base/nodes.sh"])
    for name, text in {
        # The second address is known at the second question only.
        "getent": 'case $2 in\nlarge-0.large.ns) echo "10.0.0.1 STREAM $2" ;;\n'
        'large-0-1.large.ns) [ -e "$0.asked" ] || { : >"$0.asked"; exit 2; }\n'
        'echo "10.0.0.2 STREAM" ;;\n*) exit 2 ;;\nesac\n',
        "ernie-deploy": 'printf "%s\\n" "$@"\n',
        "sleep": "exit 0\n",
    }.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{text}")
        program.chmod(0o755)
    ran = subprocess.run(
        ["sh", "-eu", script, "up", container.PROFILE, "--foreground"],
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin", "LWS_GROUP_SIZE": "2",
            "LWS_LEADER_ADDRESS": "large-0.large.ns",
        },
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.stdout.split() == [
        "up", container.PROFILE, "--foreground", "--set", "engine-args.ips=10.0.0.1,10.0.0.2",
    ], ran.stderr  # fmt: skip


@pytest.mark.parametrize("target", ["compose", "slurm", "quadlet", "systemd"])
def test_one_node_is_not_several(target: str) -> None:
    with pytest.raises(DeployError, match="one node"):
        render(target, load(LARGE, *TWO_NODES))
    with pytest.raises(DeployError, match="one machine"):
        render("kubernetes", load(TINY, "render.nodes=2"))


def test_a_group_of_prefill_and_decode_is_not_rendered_as_something_else() -> None:
    group = "service={group: {prefill: {replicas: 1}, decode: {replicas: 1}}}"
    with pytest.raises(DeployError, match="group of instances"):
        render("kubernetes", load(LARGE, group))


def test_an_init_container_pulls_the_weights() -> None:
    pod = find(texts(LARGE, "render.weights=pulled"), "Deployment")["spec"]["template"]["spec"]
    (init,) = pod["initContainers"]
    assert init["args"] == ["model", "pull", container.PROFILE]
    mounts = {one["name"]: one for one in init["volumeMounts"]}
    (models,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "weights"]
    assert mounts["weights"]["mountPath"] == models["mountPath"]
    assert not mounts["weights"].get("readOnly")
    profile = yaml.safe_load(texts(LARGE, "render.weights=pulled")["base/profile.yaml"])
    assert profile["cache-dir"] == models["mountPath"], "where `up` looks for what was pulled"


@pytest.mark.parametrize("sets", [(), ("render.weights=mounted",)])
def test_weights_that_are_there_are_not_pulled(sets: tuple[str, ...]) -> None:
    assert "initContainers" not in texts(LARGE, *sets)["base/workload.yaml"]
    assert "initContainers" not in texts(TINY, "render.weights=pulled")["base/workload.yaml"], (
        "a model that is a path cannot be pulled"
    )
