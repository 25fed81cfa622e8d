"""The configuration of Prometheus and Grafana: both can read it, and every metric in it exists."""

import asyncio
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import prometheus_client.parser
import pytest
import torch
import yaml
from PIL import Image

from model_store.store import BUNDLED, Store
from service.server.app import create_app
from service.server.limits import api_keys as keys
from service.server.settings import Settings
from service.server.telemetry.metrics import Metrics

DOCKER = Path(__file__).parents[2] / "docker"
PROMETHEUS, GRAFANA = DOCKER / "prometheus", DOCKER / "grafana"
KEY_FILE = "/run/secrets/metrics_key"

_METRIC = re.compile(r"\b([A-Za-z_]\w*)\b(?!\s*\()(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUP = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[[^]]*\]")
_OPERATORS = {"and", "or"}
_OF_ALL = {"job", "instance"}
"""Labels that Prometheus gives to every scraped metric."""
_OF_PROMETHEUS = {"up": set(), "ALERTS": {"alertname", "alertstate"}}
"""Metrics that Prometheus makes itself, and their labels."""
_WITH_KNOWN_VALUES = {"route", "stage", "reason"}
"""Labels whose values all occur in the tests."""

Labels = dict[str, set[str]]
"""The labels of a metric, with their values."""


class Query(NamedTuple):
    """The metrics and labels in a query."""

    selectors: list[tuple[str, list[tuple[str, str]]]]
    """The metrics, each with the labels in its braces and the values that these are compared with."""
    grouped: set[str]
    """The labels that the query groups by."""


def parse(expression: str) -> Query:
    selectors = [
        (metric, _MATCHER.findall(braces))
        for metric, braces in _METRIC.findall(_GROUP.sub("", _RANGE.sub("", expression)))
        if metric not in _OPERATORS
    ]
    return Query(selectors, {label.strip() for group in _GROUP.findall(expression) for label in group.split(",")})


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


RULES = [rule for group in read_yaml(PROMETHEUS / "alerts.yml")["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((GRAFANA / "dashboards" / "impasto.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def dashboard_expressions() -> dict[str, str]:
    """Return the queries of the dashboard by where they are, with a value in place of each variable."""
    asked = {
        f"panel {panel['id']} ({panel['title']}), {target['refId']}": target["expr"]
        for panel in PANELS
        for target in panel["targets"]
    }
    asked |= {f"annotation {each['name']!r}": each["target"]["expr"] for each in DASHBOARD["annotations"]["list"]}
    values = {"$__rate_interval": "1m", "$instance": "impasto:8000"}
    for variable, value in values.items():
        asked = {name: expression.replace(variable, value) for name, expression in asked.items()}
    return asked


EXPRESSIONS = dashboard_expressions() | {f"alert {rule['alert']}": rule["expr"] for rule in RULES}


async def scrape_after_a_bit_of_everything() -> str:
    """Return what a server shows on `/metrics` after requests to all its routes."""
    key, entry = keys.make("shop", concurrency=1)
    app = create_app(Settings(device="cpu", api_keys=entry), Store(BUNDLED))
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, "PNG")
    photo = buffer.getvalue()
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://impasto", headers={"Authorization": f"Bearer {key}"}
        ) as client,
    ):
        # The concurrency of the key is 1, so the second picture waits for the first, which counts as shed.
        answer = await client.post("/stylize?style=muse", files=[("image", photo), ("image", photo)])
        answer.raise_for_status()
        (await client.post("/super-resolve?factor=4", content=photo)).raise_for_status()
        assert (await client.post("/super-resolve", content=b"no picture")).is_client_error
        for route in ("/livez", "/readyz", "/metrics"):
            await client.get(route)
        return (await client.get("/metrics")).raise_for_status().text


@pytest.fixture(scope="module")
def shown() -> Mapping[str, Labels]:
    """Return the labels of all metrics of a server, including those that only exist on CUDA."""
    text = asyncio.run(scrape_after_a_bit_of_everything())
    with pytest.MonkeyPatch.context() as cuda:
        cuda.setattr(torch.cuda, "mem_get_info", lambda _: (1, 2))
        text_on_cuda = Metrics(torch.device("cuda")).render("")[0].decode()
    shown: dict[str, Labels] = {metric: {label: set() for label in labels} for metric, labels in _OF_PROMETHEUS.items()}
    for each in (text, text_on_cuda):
        for family in prometheus_client.parser.text_string_to_metric_families(each):
            for sample in family.samples:
                labels = shown.setdefault(sample.name, {})
                for label, value in sample.labels.items():
                    labels.setdefault(label, set()).add(value)
    return shown


# What expressions name


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_metric_is_one_of_a_server(name: str, shown: Mapping[str, Labels]) -> None:
    metrics = {metric for metric, _ in parse(EXPRESSIONS[name]).selectors}
    assert metrics
    assert metrics <= set(shown)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_label_is_one_of_its_metric(name: str, shown: Mapping[str, Labels]) -> None:
    selectors, grouped = parse(EXPRESSIONS[name])
    for metric, matched in selectors:
        assert {label for label, _ in matched} <= set(shown[metric]) | _OF_ALL, metric
        assert grouped <= set(shown[metric]) | _OF_ALL, metric


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_route_stage_and_reason_is_one_of_a_server(name: str, shown: Mapping[str, Labels]) -> None:
    for metric, matched in parse(EXPRESSIONS[name]).selectors:
        for label, pattern in matched:
            if label in _WITH_KNOWN_VALUES:
                assert set(pattern.split("|")) <= shown[metric][label], metric


def test_a_label_in_a_legend_is_one_that_the_query_keeps() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            kept = parse(target["expr"]).grouped or _OF_ALL
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= kept, panel["title"]


# Prometheus


@pytest.fixture(scope="session")
def promtool() -> str:
    """Return the path of the command that checks Prometheus' configuration."""
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("needs promtool, which is in Debian's package prometheus")
    return path


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.process
def test_prometheus_can_read_its_configuration(promtool: str, tmp_path: Path) -> None:
    for path in PROMETHEUS.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "key").touch()
    configuration = (PROMETHEUS / "prometheus.yml").read_text()
    assert KEY_FILE in configuration
    (tmp_path / "prometheus.yml").write_text(configuration.replace(KEY_FILE, str(tmp_path / "key")))
    run(promtool, "check", "config", tmp_path / "prometheus.yml")


@pytest.mark.process
def test_alerts_fire_when_they_should(promtool: str) -> None:
    run(promtool, "test", "rules", PROMETHEUS / "alerts_test.yml")


def test_every_alert_is_tested_to_fire_and_to_be_silent() -> None:
    tests = read_yaml(PROMETHEUS / "alerts_test.yml")["tests"]
    fired = {case["alertname"] for test in tests for case in test.get("alert_rule_test", []) if case.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in RULES}
    assert {"expr": "ALERTS", "eval_time": "60m", "exp_samples": []} in tests[-1]["promql_expr_test"]


def test_every_alert_has_a_delay_a_severity_and_a_description() -> None:
    for rule in RULES:
        assert rule["for"], rule["alert"]
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        assert len(rule["annotations"]["description"]) > len(rule["annotations"]["summary"])


@pytest.mark.process
def test_prometheus_accepts_the_queries_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    queries = dashboard_expressions()
    assert not [expression for expression in queries.values() if "$" in expression]
    rules = [{"record": f"query_{number}", "expr": expression} for number, expression in enumerate(queries.values())]
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    run(promtool, "check", "rules", path)


# Grafana


def datasources(value: Any) -> Iterator[Any]:
    """Yield all data sources that are named anywhere in a document."""
    if isinstance(value, dict):
        if "datasource" in value:
            yield value["datasource"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from datasources(each)


def test_every_panel_uses_the_chosen_data_source() -> None:
    named = list(datasources(DASHBOARD))
    assert len(named) >= len(PANELS)
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in named)
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "instance"]


def test_every_query_is_about_the_chosen_servers() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            selectors = parse(target["expr"]).selectors
            assert all(("instance", "$instance") in matched for _, matched in selectors), panel["title"]


def test_every_panel_has_a_title_a_description_and_a_unit() -> None:
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        unit = panel["options"].get("yAxis", panel["fieldConfig"]["defaults"]).get("unit")
        assert unit or panel["type"] == "table", panel["title"]


def cells(panel: Mapping[str, Any]) -> Iterable[tuple[int, int]]:
    place = panel["gridPos"]
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y


def test_panels_have_unique_ids_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    for one, other in combinations(panels, 2):
        assert not set(cells(one)) & set(cells(other)), (one["title"], other["title"])


def test_grafana_finds_the_dashboard_and_knows_the_scrape_interval() -> None:
    (provider,) = read_yaml(GRAFANA / "provisioning" / "dashboards" / "impasto.yml")["providers"]
    (source,) = read_yaml(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    scrapes = read_yaml(PROMETHEUS / "prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scrapes
    assert source["type"] == "prometheus"
