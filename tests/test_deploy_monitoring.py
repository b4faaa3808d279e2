"""The dashboard, the alert rules and the autoscalers under `deploy/` ask for what is really served.

Their metrics, labels and the values of labels are compared with a page of `ltq metrics` and one of
a worker with `Prometheus()`.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ltq.errors import RejectError, RetryError
from ltq.middleware import Prometheus, default_stack
from ltq.worker import Worker
from tests.cli.calls import call_ltq
from tests.eventually import eventually

DEPLOY = Path(__file__).parent.parent / "deploy"

Served = dict[str, dict[str, set[str]]]
"""The labels of each metric, and their values."""

SELECTOR = re.compile(r'\b(ltq_\w+)(?:\{((?:[^{}"]|"[^"]*")*)\})?')
MATCHER = re.compile(r'(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
FIXED = {"state", "priority", "outcome", "status"}
"""Labels whose values LTQ decides."""

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here")


def samples_of(*pages: str) -> Served:
    found: Served = {}
    for page in pages:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels = found.setdefault(sample.name, {})
                for name, value in sample.labels.items():
                    labels.setdefault(name, set()).add(value)
    return found


@pytest.fixture
async def served(redis_url: str) -> Served:
    """What a worker that has run and `ltq metrics` serve."""
    registry = CollectorRegistry()
    metrics = Prometheus(registry)
    worker = Worker("jobs", broker_url=redis_url, middlewares=[*default_stack(), metrics])

    @worker.task(max_tries=2, backoff=lambda _: 0.0)
    async def hello(number: int) -> None:
        if number:
            raise (OSError("away"), RejectError("no"), RetryError(0.0))[number - 1]

    await hello.send_many([hello.message(number) for number in range(4)])
    await worker.run(burst=True)
    async with metrics.watch_queues(worker):
        await eventually(lambda: "ltq_queue_tasks{" in generate_latest(registry).decode())
        own = generate_latest(registry).decode()
    await worker.aclose()
    done = await call_ltq("metrics", "--broker-url", redis_url)
    assert done.code == 0
    return samples_of(own, done.out)


def dashboard() -> Any:
    return json.loads((DEPLOY / "grafana.json").read_text())


def panels() -> list[Any]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def rules() -> list[Any]:
    (group,) = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    assert group.keys() == {"name", "rules"}
    return list(group["rules"])


def autoscaler(name: str) -> Any:
    (found,) = yaml.safe_load_all((DEPLOY / name).read_text())
    return found


def expressions() -> dict[str, str]:
    """Every expression, by where it stands."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in rules()}
    for panel in panels():
        for target in panel["targets"]:
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"]
    found["keda"] = autoscaler("keda.yaml")["spec"]["triggers"][0]["metadata"]["valueLocation"]
    trigger = autoscaler("keda-prometheus.yaml")["spec"]["triggers"][0]
    found["keda-prometheus"] = trigger["metadata"]["query"]
    return found


def plain(expr: str) -> str:
    """An expression without the variables of Grafana."""
    for variable, value in {"$__rate_interval": "5m", "$queue": ".*", "$task": ".*"}.items():
        expr = expr.replace(variable, value)
    return expr


def groupings(expr: str) -> set[str]:
    """The labels that an expression keeps or joins by."""
    names = ",".join(GROUPING.findall(expr)).split(",")
    return {name.strip() for name in names} - {""}


def wrong_in(expr: str, served: Served) -> Iterator[str]:
    """What an expression asks for that is not served."""
    known: set[str] = set()
    for metric, matchers in SELECTOR.findall(expr):
        if metric not in served:
            yield f"there is no {metric}"
            continue
        known |= served[metric].keys()
        left = MATCHER.sub("", matchers).replace(",", "").strip()
        if left:
            yield f"{metric}: {left!r} is no matcher"
        for label, _, value in MATCHER.findall(matchers):
            if label not in served[metric]:
                yield f"{metric} has no label {label}"
            elif label in FIXED and not set(value.split("|")) <= served[metric][label]:
                yield f"{metric} is never {label}={value}"
    yield from (f"nothing has the label {name}" for name in groupings(expr) - known)


@pytest.mark.slow
async def test_what_they_ask_for_is_served(served: Served) -> None:
    found = expressions()
    assert len(found) > 25
    for where, expr in found.items():
        assert SELECTOR.search(expr), where
        assert list(wrong_in(plain(expr), served)) == [], where
    for variable in dashboard()["templating"]["list"][1:]:
        asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
        assert asked is not None
        assert asked[2] == variable["name"]
        assert asked[2] in served[asked[1]]


def test_what_is_not_served_would_be_noticed() -> None:
    page = 'ltq_queue_tasks{queue="a",state="pending"} 1\n'
    served = samples_of(page)
    for wrong in (
        "ltq_queue_task",
        'ltq_queue_tasks{status="pending"}',
        'ltq_queue_tasks{state="waiting"}',
        'ltq_queue_tasks{state=~"pending|waiting"}',
        "sum by (task) (ltq_queue_tasks)",
        "ltq_queue_tasks{state}",
    ):
        assert len(list(wrong_in(wrong, served))) == 1, wrong
    right = 'sum by (queue) (ltq_queue_tasks{queue=~"a.+", state="pending"}) > 0'
    assert list(wrong_in(right, served)) == []


@pytest.mark.parametrize("where", expressions())
def test_their_brackets_and_quotes_are_closed(where: str) -> None:
    expr = re.sub(r'"[^"]*"', "", expressions()[where])
    assert '"' not in expr
    pairs, opened = {")": "(", "]": "[", "}": "{"}, list[str]()
    for sign in expr:
        if sign in pairs.values():
            opened.append(sign)
        elif sign in pairs:
            assert opened.pop() == pairs[sign]
    assert opened == []


class TestDashboard:
    def test_its_panels_are_told_apart_and_do_not_overlap(self) -> None:
        found = dashboard()["panels"]
        assert len({panel["id"] for panel in found}) == len(found)
        assert len({(panel["type"], panel["title"]) for panel in found}) == len(found)
        places = [panel["gridPos"] for panel in found]
        assert all(place["x"] + place["w"] <= 24 for place in places)
        for one, other in combinations(places, 2):
            is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            is_above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert is_beside or is_above, (one, other)

    def test_it_uses_only_the_variables_that_it_has(self) -> None:
        names = {variable["name"] for variable in dashboard()["templating"]["list"]}
        assert names == {"datasource", "queue", "task"}
        text = (DEPLOY / "grafana.json").read_text()
        used = {*re.findall(r"\$\{?(\w+)", text)} - {"__all", "__rate_interval"}
        assert used == names
        for panel in panels():
            assert panel["datasource"]["uid"] == "${datasource}"

    def test_legends_name_labels_that_are_kept(self) -> None:
        for panel in panels():
            for target in panel["targets"]:
                legend = {*re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])}
                assert legend <= groupings(target["expr"]), panel["title"]


class TestAlerts:
    def test_they_say_only_what_prometheus_knows(self) -> None:
        assert len({rule["alert"] for rule in rules()}) == len(rules())
        for rule in rules():
            assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
            assert re.fullmatch(r"\d+[smhd]", rule.get("for", "0s"))
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert rule["annotations"].keys() == {"summary", "description"}

    def test_their_texts_name_labels_that_are_kept(self) -> None:
        for rule in rules():
            texts = " ".join(rule["annotations"].values())
            assert {*re.findall(r"\$labels\.(\w+)", texts)} <= groupings(rule["expr"])

    def test_what_they_must_warn_of_is_there(self) -> None:
        assert {rule["alert"] for rule in rules()} >= {
            "LtqBrokerAway",
            "LtqQueueNotServed",
            "LtqWorkersSilent",
            "LtqOldestWaiting",
            "LtqQueuePaused",
            "LtqDeadLettersGrow",
        }


class TestAutoscalers:
    @pytest.mark.parametrize("name", ["keda.yaml", "keda-prometheus.yaml"])
    def test_they_scale_the_workers(self, name: str) -> None:
        found = autoscaler(name)
        assert (found["apiVersion"], found["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
        spec = found["spec"]
        assert spec.keys() <= {
            *("scaleTargetRef", "pollingInterval", "cooldownPeriod", "minReplicaCount"),
            *("maxReplicaCount", "fallback", "triggers"),
        }
        assert spec["fallback"].keys() == {"failureThreshold", "replicas"}
        assert spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
        manifests = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
        workers = [one["metadata"]["name"] for one in manifests if one["kind"] == "Deployment"]
        assert spec["scaleTargetRef"] == {"name": workers[0]}

    def test_their_triggers_say_only_what_keda_knows(self) -> None:
        (trigger,) = autoscaler("keda.yaml")["spec"]["triggers"]
        assert trigger["type"] == "metrics-api"
        metadata = trigger["metadata"]
        assert metadata.keys() == {"url", "format", "valueLocation", "targetValue"}
        assert metadata["format"] == "prometheus"
        (trigger,) = autoscaler("keda-prometheus.yaml")["spec"]["triggers"]
        assert trigger["type"] == "prometheus"
        assert trigger["metadata"].keys() == {
            *("serverAddress", "query", "threshold", "ignoreNullValues"),
        }
        for value in (*metadata.values(), *trigger["metadata"].values()):
            assert isinstance(value, str)  # KEDA refuses numbers and booleans

    def test_the_one_without_prometheus_asks_for_one_value_of_the_service(self) -> None:
        (trigger,) = autoscaler("keda.yaml")["spec"]["triggers"]
        metadata = trigger["metadata"]
        service, deployment = yaml.safe_load_all((DEPLOY / "metrics.yaml").read_text())
        port = service["spec"]["ports"][0]["port"]
        assert metadata["url"] == f"http://{service['metadata']['name']}:{port}/metrics"
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["args"][:3] == ["metrics", "--port", str(port)]
        assert {match[0] for match in MATCHER.findall(metadata["valueLocation"])} == {
            *("queue", "state"),
        }


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_prometheus_can_read_every_expression(tmp_path: Path) -> None:
    promtool("check", "rules", str(DEPLOY / "alerts.yaml"))
    records = [
        {"record": f"ltq:{number}", "expr": plain(expr)}
        for number, expr in enumerate(expressions().values())
    ]
    copy = tmp_path / "expressions.yaml"
    copy.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": records}]}))
    promtool("check", "rules", str(copy))


QUEUE = {"queue": "a:b"}

ALARMS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "LtqMetricsMissing": ({"up": "1x60"}, {}),
    "LtqBrokerAway": ({"ltq_up": "0x60"}, {}),
    "LtqNoWorker": ({'ltq_workers{status="alive"}': "0x60"}, {}),
    "LtqWorkersSilent": ({'ltq_workers{status="silent"}': "0x58 1x2"}, {}),
    "LtqQueueNotServed": (
        {
            'ltq_queue_tasks{queue="a:b",state="pending"}': "5x60",
            'ltq_queue_served{queue="a:b"}': "0x60",
        },
        QUEUE,
    ),
    "LtqUnknownTasks": ({'ltq_queue_unserved_tasks{queue="a:b"}': "2x60"}, QUEUE),
    "LtqOldestWaiting": ({'ltq_queue_oldest_seconds{queue="a:b"}': "500+60x60"}, QUEUE),
    "LtqQueuePaused": ({'ltq_queue_paused{queue="a:b"}': "1x60"}, QUEUE),
    "LtqDeadLettersGrow": ({'ltq_queue_tasks{queue="a:b",state="dead"}': "0+1x60"}, QUEUE),
    "LtqTasksLeftBehind": ({'ltq_queue_overdue_tasks{queue="a:b"}': "1x60"}, QUEUE),
    "LtqRunsFail": (
        {
            'ltq_runs_total{task="a:b",outcome="failed"}': "0+1x60",
            'ltq_runs_total{task="a:b",outcome="completed"}': "0+4x60",
        },
        {"task": "a:b"},
    ),
}
"""For each alert, series that must set it off within an hour, and its labels."""

QUIET = {
    "ltq_up": "1x60",
    'ltq_workers{status="alive"}': "2x60",
    'ltq_workers{status="silent"}': "0x60",
    'ltq_queue_tasks{queue="a:b",state="pending"}': "5x60",
    'ltq_queue_tasks{queue="a:b",state="dead"}': "3x60",
    'ltq_queue_served{queue="a:b"}': "1x60",
    'ltq_queue_unserved_tasks{queue="a:b"}': "0x60",
    'ltq_queue_oldest_seconds{queue="a:b"}': "20x60",
    'ltq_queue_overdue_tasks{queue="a:b"}': "0x60",
    'ltq_queue_paused{queue="a:b"}': "0x60",
    'ltq_runs_total{task="a:b",outcome="failed"}': "0x60",
    'ltq_runs_total{task="a:b",outcome="completed"}': "0+4x60",
}
"""Series of a service that is well."""


def input_series(series: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"series": name, "values": values} for name, values in series.items()]


@pytest.mark.slow
@needs_promtool
def test_each_alert_is_given_when_it_must_and_not_otherwise(tmp_path: Path) -> None:
    assert {rule["alert"] for rule in rules()} == set(ALARMS)
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in rules()}
    bare = [{**rule, "annotations": {}} for rule in rules()]  # their texts are not compared
    copy = tmp_path / "alerts.yaml"
    copy.write_text(yaml.safe_dump({"groups": [{"name": "ltq", "rules": bare}]}))
    cases: list[dict[str, Any]] = [
        {
            "interval": "1m",
            "input_series": input_series(series),
            "alert_rule_test": [
                {
                    "eval_time": "60m",
                    "alertname": name,
                    "exp_alerts": [{"exp_labels": {"severity": severities[name], **labels}}],
                }
            ],
        }
        for name, (series, labels) in ALARMS.items()
    ]
    quiet = [{"eval_time": "60m", "alertname": name, "exp_alerts": []} for name in ALARMS]
    cases.append({"interval": "1m", "input_series": input_series(QUIET), "alert_rule_test": quiet})
    tests = tmp_path / "tests.yaml"
    tests.write_text(yaml.safe_dump({"rule_files": [str(copy)], "tests": cases}))
    promtool("test", "rules", str(tests))
