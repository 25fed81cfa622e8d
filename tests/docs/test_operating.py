"""docs/operating.md lists every setting, every variable of compose.yaml and every metric."""

import re

import torch

from model_store.settings import StoreSettings
from service.server.settings import Settings
from service.server.telemetry.metrics import Metrics

from .markdown import PROJECT, as_text, table

OPERATING = PROJECT / "docs/operating.md"


def test_every_setting_is_listed_with_its_default() -> None:
    listed = table(OPERATING, "Which settings are there?")
    fields = Settings.model_fields | StoreSettings.model_fields
    assert {name for name in listed if name.startswith("IMPASTO_")} == {f"IMPASTO_{name.upper()}" for name in fields}
    by_the_machine = {"codec_threads"}
    for name, field in fields.items():
        if field.default not in (None, "") and name not in by_the_machine:
            assert listed[f"IMPASTO_{name.upper()}"][0].strip("`") == as_text(field.default)
        elif field.default == "":
            assert listed[f"IMPASTO_{name.upper()}"][0] == "none"


def test_every_variable_of_compose_is_listed_with_its_default() -> None:
    listed = table(OPERATING, "How do I run it in containers?")
    lines = re.findall(r"^([A-Z_]+)=(.*)$", (PROJECT / ".env").read_text(), re.MULTILINE)
    written = {name: default for name, default in lines if not name.startswith("IMPASTO_")}
    assert {name: cells[0].strip("`") for name, cells in listed.items() if name.isupper()} == written


def test_every_metric_is_listed() -> None:
    content, _ = Metrics(torch.device("cpu")).render("")
    families = set(re.findall(r"^# TYPE (\w+) ", content.decode(), re.MULTILINE))
    ours = {name for name in families if name.startswith("impasto_") and not name.endswith("_created")}
    on_cuda = {"impasto_device_memory_used_bytes", "impasto_device_memory_total_bytes"}
    listed = {name for name in table(OPERATING, "How do I monitor it?") if name.startswith("impasto_")}
    assert listed == ours | on_cuda
