"""What is under infra/ is what its readers take: Compose, Docker, Kubernetes, Prefect and Troupe itself."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.settings import Batches
from infra.running import SERVER_ENVIRONMENT, WORKER_ENVIRONMENT
from tests.databases import production_settings

INFRA = Path(__file__).parents[2] / "infra"
IMAGES = sorted(INFRA.glob("images/*.Dockerfile"))
WORKLOADS = ("Deployment", "Job")
POOLS = "TROUPE_POOLS"
"""Which renderers leave the process: read by the flows that hand shots to pools."""


def tool(name: str, *arguments: str) -> str:
    """What a tool of the dev extra says of a file it accepts; the test fails with what it says of another."""
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    path = shutil.which(name, path=places)
    if path is None:
        pytest.skip(f"{name} is not installed: pip install -e '.[dev]'")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def documents(*paths: Path) -> list[dict[str, Any]]:
    """Every YAML document of some files."""
    return [document for path in paths for document in yaml.safe_load_all(path.read_text()) if document]


def manifests() -> list[Path]:
    """Every Kubernetes manifest, without what belongs to kustomize and Helm."""
    return sorted(
        path for path in INFRA.rglob("k8s/**/*.yaml") if path.name not in ("kustomization.yaml", "server-values.yaml")
    )


def compose() -> dict[str, Any]:
    """The services of compose.yaml."""
    services: dict[str, Any] = yaml.safe_load((INFRA / "compose.yaml").read_text())["services"]
    return services


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_hadolint_finds_nothing_in_an_image(path: Path) -> None:
    """Not even advice."""
    assert tool("hadolint", "--failure-threshold", "style", str(path)).strip() == ""


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_an_image_copies_what_is_there_and_runs_as_nobody(path: Path) -> None:
    """Each source is in the repository and not left out of the build; the last user is no root, and none owns code."""
    text = path.read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    sent = {
        line[1:] for line in (path.parent / f"{path.name}.dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    sources = {source for sources in copied for source in sources}

    assert {source for source in sources if source.partition("/")[0] not in sent} == set()
    assert {source for source in sources if not (INFRA.parent / source).exists()} == set()
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == "10001:10001"
    assert text.index("torch==") < text.index("--require-hashes") if path.name.startswith("gpu") else True


def test_compose_accepts_the_services() -> None:
    """By the Compose specification's own schema."""
    assert "ok" in tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(INFRA / "compose.yaml"))


def test_every_service_is_confined() -> None:
    """Read-only root, no capabilities but those it names, limits, health; ports on this machine alone."""
    for name, service in compose().items():
        limits = service["deploy"]["resources"]["limits"]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(limits) == {"cpus", "memory"}, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert ("healthcheck" in service) == (name != "deployments"), name
        assert "latest" not in service["image"], name


def test_the_server_asks_for_a_password_and_reports_to_nobody() -> None:
    """On the server, its clients and the object store."""
    services = compose()
    workers = [services[name]["environment"] for name in ("deployments", "worker-cpu", "worker-gpu")]

    assert services["server"]["environment"]["PREFECT_SERVER_API_AUTH_STRING"] == "${PREFECT_AUTH}"
    assert {environment["PREFECT_API_AUTH_STRING"][:14] for environment in workers} == {"${PREFECT_AUTH"}
    assert services["server"]["environment"]["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert "-master.telemetry=false" in services["objects"]["command"]


def test_servers_and_workers_are_set_as_they_are_tested() -> None:
    """Messages, tasks and leases as in the fault tests, in Compose and in the chart; workers as of `troupe serve`."""
    tested = production_settings("", 6379)
    composed = compose()["server"]["environment"]
    (values,) = documents(INFRA / "k8s/server-values.yaml")
    charted = {each["name"]: each.get("value") for each in values["server"]["env"]}
    modules = {name: value for name, value in tested.items() if value.startswith("prefect_redis.")}
    modules |= SERVER_ENVIRONMENT
    worker = compose()["worker-cpu"]["environment"]
    (kustomized,) = documents(INFRA / "k8s/kustomization.yaml")
    literals = dict(each.split("=", 1) for each in kustomized["configMapGenerator"][0]["literals"])

    assert tested.keys() <= composed.keys()
    assert {name: composed[name] for name in modules} == {name: charted.get(name) for name in modules} == modules
    assert tested.keys() - charted.keys() == {"PREFECT_SERVER_DATABASE_CONNECTION_URL"}  # the chart's own secret
    kept = {name: value for name, value in WORKER_ENVIRONMENT.items() if name != "DO_NOT_TRACK"}  # the image has it
    assert {name: worker.get(name) for name in kept} == {name: literals.get(name) for name in kept} == kept


def test_what_the_server_is_told_to_use_is_in_its_image() -> None:
    """A module that settings name would be missed at start-up alone."""
    named = {str(value).partition(".")[0] for value in compose()["server"]["environment"].values() if "." in str(value)}
    lock = (INFRA / "requirements.lock").read_text()

    assert "prefect_redis" in named
    assert "\nprefect-redis==" in lock


def test_every_secret_is_asked_for_in_the_example() -> None:
    """Each variable of compose.yaml stands in compose.env.example, and no secret has a value there."""
    asked = set(re.findall(r"\$\{([A-Z0-9_]+)", (INFRA / "compose.yaml").read_text()))
    example = dict(
        line.split("=", 1) for line in (INFRA / "compose.env.example").read_text().splitlines() if line[:1] not in "#"
    )

    assert set(example) == asked
    assert {name for name, value in example.items() if value} == {"EPISODES", "WEIGHTS"}


@pytest.mark.parametrize("path", manifests(), ids=lambda path: path.name)
def test_kubernetes_accepts_the_manifests(path: Path, tmp_path: Path) -> None:
    """By the schema of its own release, without unknown fields; KEDA's kinds are looked at below."""
    own = [document for document in documents(path) if "keda.sh" not in document["apiVersion"]]
    if own:
        (tmp_path / path.name).write_text(yaml.safe_dump_all(own))
        said = tool("kubernetes-validate", "--strict", "-k", "1.37", str(tmp_path / path.name))
        assert said.count(" passed ") == len(own)


def test_kubernetes_accepts_a_job_of_the_template(tmp_path: Path) -> None:
    """The job that a stock Kubernetes worker makes, with its places filled; every place is a variable."""
    template = json.loads((INFRA / "k8s/job-template.json").read_text())
    text = json.dumps(template["job_configuration"])
    places = set(re.findall(r"\{\{ (\w+) \}\}", text))
    for place, value in (("labels", {"a": "b"}), ("env", [{"name": "A", "value": "b"}])):
        text = text.replace(f'"{{{{ {place} }}}}"', json.dumps(value))
    job = json.loads(re.sub(r"\{\{ (\w+) \}\}", r"\1", text))["job_manifest"]
    job["metadata"]["name"] = job["metadata"].pop("generateName") + "x"  # as the server does
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))

    assert places == set(template["variables"]["properties"])
    assert " passed " in tool("kubernetes-validate", "--strict", "-k", "1.37", str(tmp_path / "job.yaml"))


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod that is made, by the name of its maker."""
    for document in documents(*manifests()):
        if document["kind"] in WORKLOADS:
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]
    template = json.loads((INFRA / "k8s/job-template.json").read_text())
    yield "job-template", template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]


def test_every_pod_is_confined() -> None:
    """No root, no token, nothing writable but what is mounted, limits."""
    found = list(pods())
    for name, pod in found:
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["automountServiceAccountToken"] is False, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert {"cpu", "memory"} <= set(container["resources"]["limits"]), name
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}

    assert {name for name, _ in found} == {"worker-cpu", "worker-gpu", "metrics", "job-template"}


def test_every_pool_has_a_worker() -> None:
    """In Compose and on Kubernetes: those of renderers, that of flows, and that of a batch's rows."""
    pools = {*json.loads(compose()["deployments"]["environment"][POOLS]).values(), "cpu", Batches().pool}
    (kustomized,) = documents(INFRA / "k8s/kustomization.yaml")
    (named,) = [
        each.partition("=")[2]
        for each in kustomized["configMapGenerator"][0]["literals"]
        if each.startswith(f"{POOLS}=")
    ]
    assert {*json.loads(named).values(), "cpu", Batches().pool} == pools
    composed = [service["command"] for name, service in compose().items() if name.startswith("worker-")]
    workers = [pod["containers"][0]["command"] for name, pod in pods() if name.startswith("worker-")]
    for commands in (composed, workers):
        assert {command[command.index("--pool") + 1] for command in commands} == pools


def test_metrics_are_scraped_by_whom_the_label_admits() -> None:
    """The port is the one that `troupe metrics` listens at; the one way in is from namespaces with a label."""
    pod, service, admitted = documents(INFRA / "k8s/metrics.yaml")
    (container,) = pod["spec"]["template"]["spec"]["containers"]
    (port,), (entry,) = container["ports"], admitted["spec"]["ingress"]
    labels = pod["spec"]["template"]["metadata"]["labels"]
    given = {each["name"]: each.get("value") for each in container["env"]}

    assert given["TROUPE_METRICS__PORT"] == str(port["containerPort"]) == str(service["spec"]["ports"][0]["port"])
    assert entry["ports"] == [{"protocol": "TCP", "port": port["containerPort"]}]
    assert service["spec"]["selector"] == admitted["spec"]["podSelector"]["matchLabels"] == labels
    assert list(entry["from"][0]) == ["namespaceSelector"]


@pytest.mark.parametrize("folder", [INFRA / "k8s", INFRA / "k8s/gpu"], ids=lambda path: path.name)
def test_a_kustomization_names_every_manifest_beside_it(folder: Path) -> None:
    """And every image that it renames is used."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    beside = {path for path in manifests() if path.parent == folder}
    images = {
        container["image"]
        for document in documents(*beside)
        if document["kind"] in WORKLOADS
        for container in document["spec"]["template"]["spec"]["containers"]
    }

    assert set(kustomization["resources"]) == {path.name for path in beside}
    assert {image["name"] for image in kustomization["images"]} == images


def test_gpu_workers_come_and_go_with_the_queue() -> None:
    """The scaler counts in tables and columns that Prefect's database has, and scales what is there, down to none."""
    from prefect.server.database import orm_models

    scaled, access = documents(INFRA / "k8s/gpu/scaling.yaml")
    (worker,) = documents(INFRA / "k8s/gpu/worker-gpu.yaml")
    (trigger,) = scaled["spec"]["triggers"]
    tables = {table.name: table for table in orm_models.Base.metadata.tables.values()}
    named = re.findall(r"\b([a-z_]+)\.([a-z_]+)\b", trigger["metadata"]["query"])

    assert named
    assert [(table, column) for table, column in named if column not in tables[table].columns] == []
    assert scaled["spec"]["scaleTargetRef"]["name"] == worker["metadata"]["name"]
    assert scaled["spec"]["minReplicaCount"] == worker["spec"]["replicas"] == 0
    assert trigger["authenticationRef"]["name"] == access["metadata"]["name"]


def environment() -> set[str]:
    """Every variable that anything here sets for Prefect or Troupe."""
    texts = [path.read_text() for path in (*IMAGES, INFRA / "compose.yaml", *INFRA.rglob("k8s/**/*.yaml"))]
    return {name for text in texts for name in re.findall(r"\b((?:PREFECT|TROUPE)_[A-Z0-9_]+)\b", text)}


def test_every_variable_is_one_that_prefect_reads() -> None:
    """A misspelt one would be ignored in silence."""
    from prefect.settings.legacy import _get_settings_fields
    from prefect.settings.models.root import Settings

    known = set(_get_settings_fields(Settings))
    ours = {"PREFECT_AUTH"}  # compose.env.example's own
    named = {name for name in environment() if name.startswith("PREFECT_") and "_REDIS_" not in name}

    assert named - known - ours == set()


def test_every_variable_is_a_setting_of_troupe() -> None:
    """Group and name."""
    from pydantic import BaseModel

    from flows.settings import Settings

    names = set()
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        is_group = isinstance(kind, type) and issubclass(kind, BaseModel)
        names |= {f"{name}__{inner}" for inner in kind.model_fields} if is_group else {name}
    known = {f"TROUPE_{name}".upper() for name in names} | {POOLS}

    assert {name for name in environment() if name.startswith("TROUPE_")} - known == set()


def test_the_readme_names_every_file() -> None:
    """From an empty machine on, a reader finds what is here."""
    readme = (INFRA / "README.md").read_text()
    files = [path for path in INFRA.rglob("*") if path.suffix in (".yaml", ".json", ".example", ".Dockerfile")]

    assert [path.name for path in files if str(path.relative_to(INFRA)) not in readme] == []
