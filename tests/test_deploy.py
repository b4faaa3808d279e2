"""The files under `deploy/` say what there is: options, settings, modules."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from devtools.servers import RedisServer
from ltq.cli import main

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def lists_in(value: Any) -> Iterator[list[str]]:
    """Every list of texts in a YAML document."""
    if isinstance(value, dict):
        for part in value.values():
            yield from lists_in(part)
    elif isinstance(value, list) and all(isinstance(part, str) for part in value):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from lists_in(part)


def written() -> Iterator[list[str]]:
    """Every list of words in the files that may be a command."""
    for name in ("compose.yaml", "kubernetes.yaml", "metrics.yaml"):
        for document in documents(name):
            yield from lists_in(document)
    for found in re.findall(r"^ *(?:CMD|ENTRYPOINT) (\[.*\])$", _text("Dockerfile"), re.MULTILINE):
        yield json.loads(found)
    yield shlex.split(unit()["Service"]["ExecStart"])


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(_text("ltq-worker.service"))
    return parser


def _text(name: str) -> str:
    return (DEPLOY / name).read_text()


def commands() -> list[list[str]]:
    """Those of ltq, without its name."""
    found = []
    for words in written():
        own = words[1:] if words[0] == "CMD" else words
        if own[0].endswith("ltq"):
            found.append(own[1:])
        elif own[0] in main.commands:
            found.append(own)
    return [command for command in found if command]


def test_there_are_commands_to_check() -> None:
    names = [command[0] for command in commands()]
    assert names.count("run") >= 4
    assert names.count("check") >= 5
    assert names.count("metrics") == 1


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_exists_with_its_options(command: list[str]) -> None:
    with click.Context(main) as context:
        name, known, arguments = main.resolve_command(context, command)
    assert known is not None
    known.make_context(name, arguments)


@pytest.mark.slow
def test_the_module_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ltq", "run", "jobs:worker", "--burst"],
        cwd=DEPLOY,
        env={"PYTHONPATH": str(ROOT), "LTQ_BROKER_URL": "memory://", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_redis_takes_its_settings_and_the_doctor_finds_nothing(
    redis_executable: str, tmp_path: Path
) -> None:
    settings = tmp_path / "redis.conf"
    settings.write_text(_text("redis.conf").replace("dir /data", f"dir {tmp_path}"))
    own = ("--include", str(settings), "--bind", "127.0.0.1")
    with RedisServer(redis_executable, *own) as server:
        done = subprocess.run(
            [sys.executable, "-m", "ltq", "doctor", "--broker-url", server.url],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    assert not re.search(r"^(warning|danger)| -> ", done.stdout, re.MULTILINE), done.stdout


def test_kubernetes_has_the_same_settings() -> None:
    (config,) = [one for one in documents("kubernetes.yaml") if one["kind"] == "ConfigMap"]
    assert config["data"]["redis.conf"].rstrip() == _text("redis.conf").rstrip()


def test_who_stops_a_worker_waits_longer_than_it_does() -> None:
    shutdown = re.search(r"shutdown_timeout=(\d+)", _text("jobs.py"))
    assert shutdown is not None
    least = int(shutdown[1]) + 2
    (compose,) = documents("compose.yaml")
    (pods,) = [one for one in documents("kubernetes.yaml") if one["kind"] == "Deployment"]
    pod = pods["spec"]["template"]["spec"]
    assert int(compose["services"]["worker"]["stop_grace_period"].removesuffix("s")) > least
    assert pod["terminationGracePeriodSeconds"] > least
    assert int(unit()["Service"]["TimeoutStopSec"]) > least


def test_files_that_are_named_are_there() -> None:
    for source in re.findall(r"^COPY (.*) \S+$", _text("Dockerfile"), re.MULTILINE):
        for name in source.split():
            assert (ROOT / name).exists(), name
    (compose,) = documents("compose.yaml")
    volume = compose["services"]["redis"]["volumes"][0]
    assert (DEPLOY / volume.partition(":")[0]).exists()
    assert (DEPLOY / compose["services"]["worker"]["build"]["context"]).resolve() == ROOT


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_knows_the_units_settings(tmp_path: Path) -> None:
    # What it runs is not installed here, nor is its user: only what systemd itself may object to.
    text = re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", _text("ltq-worker.service"))
    copy = tmp_path / "ltq-worker.service"
    copy.write_text(re.sub(r"^User=.*\n", "", text, flags=re.MULTILINE))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    objections = [line for line in done.stderr.splitlines() if "ltq-worker.service:" in line]
    assert objections == []


COMPOSE_KEYS = {
    "": {"services", "volumes"},
    "service": {
        *("image", "build", "command", "environment", "depends_on", "healthcheck", "volumes"),
        *("restart", "stop_grace_period", "deploy"),
    },
    "build": {"context", "dockerfile"},
    "healthcheck": {"test", "interval", "timeout", "retries", "start_period"},
    "deploy": {"replicas"},
}
"""Those of the Compose specification that are used here, so that a misspelt one is noticed."""


def test_compose_says_only_what_the_specification_knows() -> None:
    (compose,) = documents("compose.yaml")
    services = compose["services"]
    assert set(compose) <= COMPOSE_KEYS[""]
    for service in services.values():
        assert set(service) <= COMPOSE_KEYS["service"]
        assert ("image" in service) != ("build" in service)
        for part in ("build", "healthcheck", "deploy"):
            assert set(service.get(part, {})) <= COMPOSE_KEYS[part]
        for other, how in service.get("depends_on", {}).items():
            assert "healthcheck" in services[other]
            assert how == {"condition": "service_healthy"}
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source.startswith("./") or source in compose["volumes"]
        for duration in re.findall(r"(?<=: )\S+", _durations(service)):
            assert re.fullmatch(r"\d+(ms|s|m|h)", duration)


def _durations(service: dict[str, Any]) -> str:
    told = {**service.get("healthcheck", {}), **service}
    names = ("interval", "timeout", "start_period", "stop_grace_period")
    return "\n".join(f"{name}: {told[name]}" for name in names if name in told)


VERSIONS = {"ConfigMap": "v1", "Service": "v1", "StatefulSet": "apps/v1", "Deployment": "apps/v1"}


def test_kubernetes_finds_what_its_manifests_name() -> None:
    found = documents("kubernetes.yaml") + documents("metrics.yaml")
    names = {(one["kind"], one["metadata"]["name"]) for one in found}
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in found if _pods(one)]
    for one in found:
        assert VERSIONS[one["kind"]] == one["apiVersion"]
        if one["kind"] == "Service":
            assert one["spec"]["selector"] in labels
        if not _pods(one):
            continue
        spec, pod = one["spec"], one["spec"]["template"]["spec"]
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
        assert ("Service", spec.get("serviceName", "ltq-redis")) in names
        volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
        claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())}
        for volume in volumes.values():
            assert ("ConfigMap", volume["configMap"]["name"]) in names
        for container in pod["containers"]:
            mounted = {mount["name"] for mount in container.get("volumeMounts", ())}
            assert mounted <= {*volumes, *claims}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                asked = container.get(probe, {"exec": {"command": ["-"]}})
                if "httpGet" in asked:
                    ports = [port["containerPort"] for port in container["ports"]]
                    assert asked["httpGet"]["port"] in ports
                else:
                    assert asked["exec"]["command"]


def _pods(document: dict[str, Any]) -> bool:
    return "template" in document.get("spec", {})


def test_a_worker_may_stay_away_for_an_outage() -> None:
    """Its liveness probe fails for two minutes before it is started again; see operations.md."""
    (workers,) = [one for one in documents("kubernetes.yaml") if one["kind"] == "Deployment"]
    (container,) = workers["spec"]["template"]["spec"]["containers"]
    probe = container["livenessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 120


def test_its_unit_can_be_installed() -> None:
    assert set(unit().sections()) == {"Unit", "Service", "Install"}
    assert unit()["Install"]["WantedBy"] == "multi-user.target"
