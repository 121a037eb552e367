"""Kubernetes: valid for the last four minors, kustomizes, and says what the plan says.

No API server runs here: "valid and kustomizes" is what these tests prove, not "runs on".
"""

import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import kubernetes_validate.utils
import pytest
import yaml

from launcher import profile as profiles
from launcher.render.rendering import render
from launcher.render.subject import collect
from tests.render.examples import SHIPPED, load
from tests.support import ROOT
from tests.support.decoded import JsonDict

LARGE = ROOT / "profiles" / "ernie-4.5-300b-a47b.yaml"
TINY = ROOT / "profiles" / "ernie-tiny-cpu.yaml"
_ALL = {version.rpartition(".")[0] for version in kubernetes_validate.utils.all_versions()}
MINORS = sorted(_ALL, key=lambda minor: [int(part) for part in minor.split(".")])[-4:]
"""The last four of Kubernetes; the package is pinned to the newest."""
OPERATORS = ("monitoring.coreos.com/", "keda.sh/", "argoproj.io/")
"""Kinds of operators: their schemas are not part of Kubernetes, and not checked here."""


def texts(path: Path, *sets: str, replicas: int = 1) -> dict[str, str]:
    rendered = render("kubernetes", load(path, *sets), replicas=replicas)
    return {one.path: one.text for one in rendered.files}


def write(files: dict[str, str], folder: Path) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def documents(files: dict[str, str]) -> list[JsonDict]:
    """Every object, without kustomize's own files and the profile."""
    return [
        document
        for name, text in files.items()
        if not name.endswith(("kustomization.yaml", "profile.yaml", "references.yaml", ".sh"))
        for document in yaml.safe_load_all(text)
    ]


def find(files: dict[str, str], kind: str) -> JsonDict:
    (one,) = [document for document in documents(files) if document["kind"] == kind]
    return one


def kustomize(folder: Path) -> list[JsonDict]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    ran = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    return list(yaml.safe_load_all(ran.stdout))


def problems(document: JsonDict, minor: str) -> str | None:
    """What the schema of this minor, in its strict form, says of an object."""
    try:
        kubernetes_validate.validate(document, minor, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error.message)
    return None


def container(files: dict[str, str]) -> JsonDict:
    (one,) = find(files, "Deployment")["spec"]["template"]["spec"]["containers"]
    server: JsonDict = one
    return server


def test_the_minors_are_the_newest_four() -> None:
    assert MINORS == ["1.34", "1.35", "1.36", "1.37"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.stem))
def test_the_schemas_accept_every_object(path: Path) -> None:
    files = texts(path, "api-key=env:KEY") if "fastdeploy" in path.read_text() else texts(path)
    built_in = [
        document for document in documents(files)
        if not document["apiVersion"].startswith(OPERATORS)
    ]  # fmt: skip
    assert {one["kind"] for one in built_in} == {
        "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget", "Job",
    }  # fmt: skip
    for minor in MINORS:
        for document in built_in:
            assert problems(document, minor) is None, (minor, document["kind"])


def test_a_misspelled_field_is_found() -> None:
    document = find(texts(TINY), "Deployment")
    document["spec"]["template"]["spec"]["terminationGracePeriod"] = 3
    assert problems(document, MINORS[-1]) is not None


@pytest.mark.parametrize("path", [TINY, LARGE], ids=lambda path: str(path.stem))
def test_it_kustomizes(path: Path, tmp_path: Path) -> None:
    folder = write(texts(path, replicas=3), tmp_path)
    base = kustomize(folder / "base")
    assert [one["kind"] for one in base] == [
        "ConfigMap", "Service", "Deployment", "PodDisruptionBudget", "NetworkPolicy",
    ]  # fmt: skip
    config, deployment = base[0], base[2]
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    assert config["metadata"]["name"] in str(volumes), "a changed profile is a rollout"
    (staged,) = [
        one for one in kustomize(folder / "overlays" / "staging") if one["kind"] == "Deployment"
    ]
    assert staged["spec"]["replicas"] == 1
    production = {one["kind"]: one for one in kustomize(folder / "overlays" / "production")}
    assert {"ScaledObject", "ServiceMonitor", "PrometheusRule"} <= set(production)
    assert "replicas" not in production["Deployment"]["spec"], "KEDA decides"
    assert [one["kind"] for one in kustomize(folder / "overlays" / "smoke")] == ["Job"]
    overlay = folder / "overlays" / "argo"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(
        "resources: [../../base]\ncomponents: [../../components/argo-rollouts]\n"
    )
    assert {"Rollout", "AnalysisTemplate"} <= {one["kind"] for one in kustomize(overlay)}


@pytest.mark.parametrize("path", [TINY, LARGE], ids=lambda path: str(path.stem))
def test_the_profile_in_the_configmap_is_valid(path: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(texts(path)["base/profile.yaml"])
    inside = profiles.load(tmp_path / "p.yaml", environ={}, need_model=False)
    assert inside.admin_host == "0.0.0.0"


def test_the_probes_ask_the_keeper() -> None:
    """An httpGet takes 200 to 399 for a success: an engine with 304 would count as ready."""
    server = container(texts(LARGE))
    ports = {one["name"]: one["containerPort"] for one in server["ports"]}
    for probe, path in (
        ("startupProbe", "/startupz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez"),
    ):  # fmt: skip
        assert server[probe]["httpGet"] == {"path": path, "port": "admin"}
    assert ports["admin"] != ports["api"]
    startup = server["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 90 * 60 + 60
    liveness = server["livenessProbe"]
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60 + 60, "a restart's wait"


@pytest.mark.parametrize("grace", ["10s", "10m"])
def test_the_grace_period_is_longer_than_all_that_comes_before_it(grace: str) -> None:
    profile = load(LARGE, f"stop.grace={grace}", "stop.drain=45s")
    subject = collect(profile, "container", version=None, replicas=1)
    files = texts(LARGE, f"stop.grace={grace}", "stop.drain=45s")
    pod = find(files, "Deployment")["spec"]["template"]["spec"]
    command = container(files)["lifecycle"]["preStop"]["exec"]["command"][-1].split()
    pre_stop = int(command[1].rstrip(";")) + int(command[-2].rstrip(";"))
    assert subject.stop_seconds > sum(stage.wait for stage in subject.plan.stop.ready)
    assert pod["terminationGracePeriodSeconds"] > pre_stop + subject.stop_seconds


def test_a_rollout_never_has_fewer_replicas() -> None:
    strategy = find(texts(LARGE, replicas=3), "Deployment")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_shared_memory_is_that_of_the_plan_and_counts_for_the_limit() -> None:
    files = texts(LARGE)
    volumes = find(files, "Deployment")["spec"]["template"]["spec"]["volumes"]
    (shm,) = [one for one in volumes if one["name"] == "shm"]
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "16384Mi"}
    limits = container(files)["resources"]["limits"]
    assert int(limits["memory"][:-2]) > 16384
    assert limits["nvidia.com/gpu"] == "8"


@pytest.mark.parametrize(
    "resource", ["nvidia.com/mig-3g.40gb", "kunlunxin.com/xpu", "metax-tech.com/gpu"]
)
def test_gpus_have_the_name_that_the_profile_gives(resource: str) -> None:
    files = texts(
        LARGE, f"render.gpu-resource={resource}", 'render.node-selector={"maker/card": "x1"}'
    )
    assert container(files)["resources"]["limits"][resource] == "8"
    pod = find(files, "Deployment")["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"maker/card": "x1"}
    assert pod["tolerations"][0]["key"] == resource


def test_a_server_on_the_cpu_asks_for_no_gpu() -> None:
    for path in (TINY, ROOT / "profiles" / "ernie-tiny-cpu-vllm.yaml"):
        assert "nvidia" not in texts(path)["base/workload.yaml"]


def test_only_the_api_and_the_keeper_can_be_reached() -> None:
    files = texts(LARGE)
    policy = find(files, "NetworkPolicy")
    ports = [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]]
    assert ports == ["api", "admin"]
    assert all(rule["from"] for rule in policy["spec"]["ingress"]), "an empty one admits all"
    for name in ("metrics and configuration (8181)", "task queue", "cache queue"):
        assert name in " ".join(files["base/network.yaml"].replace("#", " ").split())
    service = find(files, "Service")["spec"]
    assert [port["name"] for port in service["ports"]] == ["api", "admin"]


def test_the_job_is_no_server_of_the_service() -> None:
    files = texts(LARGE)
    selector = find(files, "Service")["spec"]["selector"]
    job = find(files, "Job")
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= labels.items()
    assert labels["ernie-deploy/client"] == "true"
    assert job["spec"]["backoffLimit"] == 0


def test_a_key_is_a_reference_to_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERNIE_KEY", "correct-horse")
    files = texts(LARGE, "api-key=env:ERNIE_KEY")
    volumes = find(files, "Deployment")["spec"]["template"]["spec"]["volumes"]
    (secret,) = [one["secret"] for one in volumes if one["name"] == "secrets"]
    assert secret["secretName"] == "ernie-4-5-300b-a47b"
    assert secret["items"] == [{"key": "ERNIE_KEY", "path": "ERNIE_KEY"}]
    folder = container(files)["volumeMounts"][-1]["mountPath"]
    assert yaml.safe_load(files["base/profile.yaml"])["api-key"] == f"file:{folder}/ERNIE_KEY"
    assert "correct-horse" not in "".join(files.values())
    assert not [one for one in documents(files) if one["kind"] == "Secret"]


def test_scaling_follows_the_queue() -> None:
    scaled = find(texts(LARGE, replicas=2), "ScaledObject")["spec"]
    (trigger,) = scaled["triggers"]
    assert trigger["type"] == "prometheus"
    assert "ernie_deploy_engine_requests_waiting" in trigger["metadata"]["query"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (2, 4)


def test_the_rules_are_those_that_ship() -> None:
    rules = [one for one in documents(texts(TINY)) if one["kind"] == "PrometheusRule"]
    shipped = sorted((ROOT / "deploy" / "monitoring" / "rules").glob("*.yml"))
    assert len(shipped) == len(rules) == 2
    for rule, path in zip(rules, shipped, strict=True):
        assert rule["spec"]["groups"] == yaml.safe_load(path.read_text())["groups"]
