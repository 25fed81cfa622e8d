"""The files of the playground over HTTP."""

import json
import re
from pathlib import Path

import httpx
import pytest

from service.playground import STATIC


def test_the_page_is_at_the_root_and_may_load_files_of_its_server_only(http: httpx.Client) -> None:
    page = http.get("/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert 'href="docs"' in page.text


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_every_file_has_its_media_type_and_names_no_other_host(http: httpx.Client, path: Path) -> None:
    media_types = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
    answer = http.get(f"/playground/{path.name}")
    assert answer.headers["Content-Type"].partition(";")[0] == media_types.get(path.suffix, "image/jpeg")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.content == path.read_bytes()
    if path.suffix != ".jpg":
        assert not re.search(r"""(?<!xmlns=)["'(](https?:|wss?:)?//""", answer.text)


def test_a_file_that_did_not_change_is_not_sent_again(http: httpx.Client) -> None:
    first = http.get("/playground/main.js")
    assert first.headers["Cache-Control"] == "no-cache"
    again = http.get("/playground/main.js", headers={"If-None-Match": f'"other", W/{first.headers["ETag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert http.get("/playground/main.js", headers={"If-None-Match": '"other"'}).status_code == 200


def test_the_page_can_be_requested_with_head(http: httpx.Client) -> None:
    assert http.head("/").headers["Content-Length"] == str(len(http.get("/").content))


@pytest.mark.parametrize("name", ["nope.js", "__init__.py", "..%2F__init__.py"])
def test_a_missing_file_is_answered_with_a_problem(http: httpx.Client, name: str) -> None:
    answer = http.get(f"/playground/{name}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_page_starts_with_the_defaults_of_the_server(http: httpx.Client) -> None:
    answer = http.get("/playground/defaults.js")
    assert answer.headers["Content-Type"].partition(";")[0] == "text/javascript"
    defaults = json.loads(re.fullmatch(r"export const DEFAULTS = Object\.freeze\((.*)\);\n", answer.text)[1])
    operations = http.get("/openapi.json").json()["paths"]
    for path in ("/stylize", "/super-resolve"):
        for parameter in operations[path]["post"]["parameters"]:
            if parameter["in"] == "query" and not parameter["required"]:
                assert defaults[parameter["name"]] == parameter["schema"].get("default"), parameter["name"]
