"""The command `impasto doctor`: run all examinations, and print their facts and findings."""

import os
import re
from collections.abc import Iterator
from json import dumps
from typing import Annotated

import typer
from pydantic import JsonValue

from service.cli.doctor.configuration import configuration
from service.cli.doctor.examination import Examination, Finding, examined
from service.cli.doctor.installation import extras, formats, versions
from service.cli.doctor.machine import device, machine
from service.cli.doctor.nets import nets
from service.cli.doctor.stores import stores
from service.cli.large_pages import ask_for_large_pages

_EXAMINATIONS: dict[str, Examination] = {
    "versions": versions,
    "extras": extras,
    "formats": formats,
    "machine": machine,
    "device": device,
    "configuration": configuration,
    "stores": stores,
    "nets": nets,
}
_COLUMN = 36
"""Width in characters of the column of names."""
_PASSWORD = re.compile(r"//[^/@\s]*@")
"""Name and password before the host in a URL."""


def doctor(
    *, json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False
) -> None:
    """Examine this installation, for a bug report. The exit code is 1 if something that should work does not."""
    ask_for_large_pages()
    # Else threads that wait for each other keep the cores busy, and on a busy machine nets take many times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    facts: dict[str, JsonValue] = {}
    findings: list[str] = []
    for title, examination in _EXAMINATIONS.items():
        if not json:
            _say(title)
        section: dict[str, JsonValue] = {}
        for each in examined(title, examination):
            if isinstance(each, Finding):
                findings.append(each.text)
                continue
            section[each.name] = each.text if each.value is None else each.value
            if not json:
                _say(f"  {each.name:{_COLUMN}}{each.text}")
        facts[title] = section
    findings = list(dict.fromkeys(findings))
    if json:
        _say(dumps({"well": not findings, "findings": findings, **facts}, indent=2, ensure_ascii=False))
    else:
        _say("\n".join(_summary(findings)))
    if findings:
        raise typer.Exit(1)


def _say(text: str) -> None:
    """Print a text without passwords, so that it may be shown to others."""
    typer.echo(_PASSWORD.sub("//…@", text))


def _summary(findings: list[str]) -> Iterator[str]:
    if not findings:
        yield "all is well"
        return
    yield "what does not work"
    yield from (f"  - {each}" for each in findings)
