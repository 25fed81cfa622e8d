import re

import pytest
from pydantic import BaseModel

from service.server import etag


class Options(BaseModel):
    style: str = "muse"
    quality: int = 90
    fidelity: float = 1.0


PICTURE = etag.of_picture(b"upload", "weights", Options())


def test_an_etag_is_the_same_however_the_options_are_spelled() -> None:
    spelled = Options.model_validate({"style": "muse@1", "quality": "90", "fidelity": "1"})
    assert etag.of_picture(b"upload", "weights", spelled) == PICTURE


def test_whatever_changes_the_picture_changes_its_etag() -> None:
    others = [
        etag.of_picture(b"another", "weights", Options()),
        etag.of_picture(b"upload", "others", Options()),
        etag.of_picture(b"upload", "weights", Options(quality=80)),
        etag.of_picture(b"upload", "weights", Options(fidelity=0.5)),
    ]
    assert len({PICTURE, *others}) == 5


def test_the_etag_of_a_picture_is_weak_and_that_of_content_is_strong() -> None:
    assert re.fullmatch(r'W/"[0-9a-f]{32}"', PICTURE)
    assert re.fullmatch(r'"[0-9a-f]{32}"', etag.of_content(b"content"))


def test_a_weak_etag_is_compared_by_the_text_between_its_quotes() -> None:
    assert etag.opaque('W/"a"') == etag.opaque('"a"') == "a"
    assert all(etag.is_known([sent], 'W/"a"') for sent in ('"a"', 'W/"a"'))
    assert not etag.is_known(['W/"b"'], 'W/"a"')


@pytest.mark.parametrize("sent", ['"a"', 'W/"a"', '"b", "a"', '"b","a" , "c"', 'W/"b", W/"a"'])
def test_a_client_knows_the_etags_that_it_lists_weak_or_strong(sent: str) -> None:
    assert etag.is_known([sent], '"a"')


@pytest.mark.parametrize("sent", ["", "*", "a", '"b"', '"aa"', '"a', "W/a"])
def test_a_client_knows_no_other_etags(sent: str) -> None:
    assert not etag.is_known([sent], '"a"')


def test_the_header_may_come_several_times() -> None:
    assert etag.is_known(['"b"', '"a"'], '"a"')
