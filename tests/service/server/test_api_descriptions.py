"""The answers in which the server describes itself: models, health and documentation."""

from typing import Any

import httpx
import pytest

from model_store.card import Card
from model_store.store import BUNDLED, Store
from service.contract.problems import Problem, ProblemDocument
from service.server.app import create_app
from service.server.limits import api_keys as keys
from service.server.routes.models import ListedModel
from service.server.settings import Settings

from ..serving import serve
from ..stores import Publish


def test_the_models_are_listed_with_their_cards(http: httpx.Client) -> None:
    cards = [Card.model_validate(card) for card in http.get("/models").json()]
    assert {(card.task, card.name) for card in cards} >= {("stylize", "muse"), ("super-resolve", "x4-pixel")}


def test_the_list_says_which_version_is_served_and_whether_it_is_loaded(
    store: Store, publish: Publish, photo_png: bytes
) -> None:
    with serve(Settings(device="cpu", store_refresh_s=0), store) as url:

        def listed() -> list[tuple[str, int, int, bool]]:
            cards = httpx.get(f"{url}/models").json()
            return [(card["name"], card["version"], card["served_version"], card["loaded"]) for card in cards]

        publish("stylize", "tiny")
        publish("stylize", "other")
        assert listed() == [("other", 1, 1, False), ("tiny", 1, 1, False)]
        httpx.post(f"{url}/stylize?style=tiny", content=photo_png, timeout=60).raise_for_status()
        assert listed() == [("other", 1, 1, False), ("tiny", 1, 1, True)]
        publish("stylize", "tiny")
        publish("stylize", "other")
        assert listed() == [("other", 2, 2, False), ("tiny", 2, 1, True)]


@pytest.mark.parametrize("name", ["muse", "muse@1"])
def test_the_card_of_a_model_is_shown(http: httpx.Client, name: str) -> None:
    response = http.get(f"/models/stylize/{name}")
    assert Card.model_validate_json(response.content) == Store(BUNDLED).card("stylize", "muse")


def test_the_preview_of_a_model_is_shown(http: httpx.Client) -> None:
    response = http.get("/models/stylize/muse/preview")
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.content == Store(BUNDLED).preview("stylize", "muse")


def test_a_model_without_a_preview_is_told_apart_from_an_unknown_model(store: Store, publish: Publish) -> None:
    publish("stylize", "tiny")
    with serve(Settings(device="cpu"), store) as url:
        without, nowhere = (httpx.get(f"{url}/models/stylize/{name}/preview") for name in ("tiny", "nope"))
    assert (without.status_code, nowhere.status_code) == (404, 404)
    assert without.json()["detail"] == "stylize/tiny has no preview"
    assert "known: tiny" in nowhere.json()["detail"]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_healthy_server_says_so(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 200


def test_the_documentation_is_shown(http: httpx.Client) -> None:
    assert "text/html" in http.get("/docs").headers["Content-Type"]
    assert http.get("/", follow_redirects=True).status_code == 200


def test_the_formats_of_metrics_are_documented(http: httpx.Client) -> None:
    answer = http.get("/openapi.json").json()["paths"]["/metrics"]["get"]["responses"]["200"]
    for media_type in answer["content"]:
        response = http.get("/metrics", headers={"Accept": f"{media_type}; version=1.0.0"})
        assert response.headers["Content-Type"].startswith(media_type)
    assert len(answer["content"]) == 2


def test_the_options_of_enlarging_are_documented(http: httpx.Client) -> None:
    parameters = http.get("/openapi.json").json()["paths"]["/super-resolve"]["post"]["parameters"]
    described = {parameter["name"]: parameter for parameter in parameters}
    switches = {"blurred", "self_ensemble", "match_histogram", "keep_metadata"}
    assert set(described) == {"factor", "scale", "size", "format", "quality", "fidelity", "X-Deadline-Ms"} | switches
    assert all(described[name]["schema"]["default"] is False for name in switches)
    assert described["fidelity"]["schema"]["default"] == 1
    assert all(parameter["description"] for parameter in parameters)


def test_the_options_of_painting_are_documented(http: httpx.Client) -> None:
    route = http.get("/openapi.json").json()["paths"]["/stylize"]["post"]
    described = {parameter["name"]: parameter for parameter in route["parameters"]}
    assert set(described) >= {
        "style",
        "strength",
        "preserve_color",
        "light",
        "size",
        "format",
        "quality",
        "keep_metadata",
    }
    assert described["strength"]["schema"]["default"] == 1
    assert all(parameter["description"] for parameter in route["parameters"])
    assert "X-Frames" in route["responses"]["200"]["headers"]
    assert all(format in route["requestBody"]["description"] for format in ("TIFF", "GIF"))  # noqa: A001


def test_the_documentation_offers_both_ways_to_send_a_picture(http: httpx.Client) -> None:
    body = http.get("/openapi.json").json()["paths"]["/stylize"]["post"]["requestBody"]["content"]
    pictures = {"image/jpeg", "image/png", "image/webp", "image/avif", "application/octet-stream"}
    assert set(body) == {"multipart/form-data", "video/mp4"} | pictures


# Every route and every problem


OPERATIONS = ["stylize", "super_resolve", "models", "model", "preview", "livez", "readyz", "metrics"]


def operations(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the operations of an OpenAPI document by their ids."""
    return {each["operationId"]: each for path in schema["paths"].values() for each in path.values()}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Return the OpenAPI document of a server with an API key."""
    return create_app(Settings(device="cpu", api_keys=keys.make("tests")[1]), Store(BUNDLED)).openapi()


def test_every_operation_has_a_name_of_its_own_and_a_known_tag(schema: dict[str, Any]) -> None:
    assert sorted(operations(schema)) == sorted(OPERATIONS)
    known_tags = {tag["name"] for tag in schema["tags"]}
    for operation in operations(schema).values():
        assert set(operation["tags"]) < known_tags
        assert operation["summary"]
        assert operation["description"]
    assert schema["servers"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_problem_that_an_operation_answers_has_an_example(schema: dict[str, Any], name: str) -> None:
    answers = operations(schema)[name]["responses"]
    for status, answer in answers.items():
        assert answer["description"]
        assert "X-Request-ID" in answer["headers"]
        if int(status) >= 400:
            assert set(answer["content"]) == {"application/problem+json"}
            examples = answer["content"]["application/problem+json"]["examples"]
            for kind, example in examples.items():
                document = ProblemDocument.model_validate(example["value"])
                assert (document.status, document.type) == (int(status), f"urn:impasto:problem:{kind}")
    assert ("401" in answers) == bool(operations(schema)[name].get("security"))
    assert "500" in answers


def test_every_problem_is_documented_for_the_routes_of_pictures(schema: dict[str, Any]) -> None:
    def names(kind: type[Problem]) -> set[str]:
        return {each.name for each in kind.__subclasses__()}.union(*map(names, kind.__subclasses__()))

    for operation in ("stylize", "super_resolve"):
        answers = operations(schema)[operation]["responses"].values()
        contents = [answer.get("content", {}).get("application/problem+json", {}) for answer in answers]
        assert {name for content in contents for name in content.get("examples", {})} == names(Problem)


@pytest.mark.parametrize("name", ["stylize", "super_resolve"])
def test_every_option_and_every_header_of_a_picture_is_described(schema: dict[str, Any], name: str) -> None:
    operation = operations(schema)[name]
    assert all(parameter["description"] for parameter in operation["parameters"])
    assert set(operation["responses"]["200"]["headers"]) >= {"ETag", "X-Model", "Server-Timing", "Cache-Control"}
    pictures = {"image/jpeg", "image/png", "image/webp", "image/avif"}
    assert set(operation["responses"]["200"]["content"]) == (
        pictures | {"video/mp4", "application/zip", "multipart/mixed"}
    )
    assert "304" in operation["responses"]


def test_the_examples_of_cards_are_cards(schema: dict[str, Any]) -> None:
    def example(name: str) -> Any:
        return operations(schema)[name]["responses"]["200"]["content"]["application/json"]["example"]

    Card.model_validate(example("model"))
    [ListedModel.model_validate(each) for each in example("models")]


def test_the_document_of_a_server_without_keys_does_not_mention_keys() -> None:
    schema = create_app(Settings(device="cpu"), Store(BUNDLED)).openapi()
    assert all("401" not in each["responses"] and "security" not in each for each in operations(schema).values())


def test_the_form_says_how_many_pictures_it_takes() -> None:
    schema = create_app(Settings(device="cpu", max_pictures_per_request=3), Store(BUNDLED)).openapi()
    form = operations(schema)["stylize"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["image"]["maxItems"] == 3
