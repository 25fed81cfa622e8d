import hashlib

import pytest

from service.server.limits import api_keys as keys
from service.server.limits.api_keys import BadKeys, Key

DIGEST = hashlib.sha256(b"open sesame").hexdigest()


def test_a_new_key_is_found_by_its_entry_and_no_other_key_is() -> None:
    key, entry = keys.make("shop", concurrency=4)
    other, other_entry = keys.make("blog")
    known = keys.parse(f"{entry}, {other_entry}")
    assert [(each.name, each.concurrency) for each in known] == [("shop", 4), ("blog", None)]
    assert keys.find(known, key) == known[0]
    assert keys.find(known, other) == known[1]
    assert keys.find(known, key + "x") is None
    assert keys.find(known, "") is None


def test_an_entry_does_not_reveal_the_key() -> None:
    key, entry = keys.make("shop")
    assert key not in entry
    assert len(key) > 40


def test_no_two_keys_are_the_same() -> None:
    assert keys.make("shop") != keys.make("shop")


def test_the_hash_of_a_key_is_no_key() -> None:
    assert keys.find([Key("a", DIGEST)], DIGEST) is None
    assert keys.find([Key("a", DIGEST)], "open sesame") is not None


def test_a_key_with_strange_characters_is_unknown() -> None:
    assert keys.find([Key("a", DIGEST)], "\udcff é") is None


def test_without_entries_there_are_no_keys() -> None:
    assert keys.parse(" , ") == ()


@pytest.mark.parametrize("text", ["open sesame", "a:open-sesame", f"a b:{DIGEST}", f"a:{DIGEST}:0", f"a:{DIGEST}:1:2"])
def test_an_invalid_entry_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadKeys, match="entry 2") as refusal:
        keys.parse(f"good:{DIGEST},{text}")
    assert "sesame" not in str(refusal.value)


def test_two_entries_with_the_same_name_are_refused() -> None:
    with pytest.raises(BadKeys, match="several entries for a"):
        keys.parse(f"a:{DIGEST},b:{DIGEST},a:{DIGEST}")


def test_a_name_that_an_entry_cannot_have_is_refused() -> None:
    with pytest.raises(BadKeys, match="cannot name a key"):
        keys.make("a:b")


def test_workers_share_the_concurrency_of_a_key() -> None:
    assert [Key("a", DIGEST, most).of_one_worker(4).concurrency for most in (9, 2, None)] == [2, 1, None]
