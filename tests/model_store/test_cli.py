"""The commands `impasto models …`, as typed."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch

from model_store.card import Draft
from model_store.nets import StyleNet
from model_store.root import BUNDLED

from ..command import Impasto


def test_a_model_is_published_listed_shown_and_verified(
    impasto: Impasto, tmp_path: Path, draft: Draft, net: StyleNet
) -> None:
    safetensors.torch.save_file(net.state_dict(), tmp_path / "net.safetensors")
    (tmp_path / "card.json").write_text(draft.model_dump_json())
    published = impasto("models", "publish", str(tmp_path / "net.safetensors"), "--card", str(tmp_path / "card.json"))
    assert published.stdout == "published stylize/tiny@1\n"
    assert "stylize/tiny@1" in impasto("models", "ls").stdout
    assert json.loads(impasto("models", "show", "tiny").stdout)["title"] == "Tiny"
    verified = impasto("models", "verify")
    assert verified.returncode == 0
    assert {line.split()[1] for line in verified.stdout.splitlines()} >= {"stylize/tiny@1", "stylize/muse@1"}


def test_verify_names_a_damaged_model_and_fails(impasto: Impasto, tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    safetensors.torch.save_file(net.state_dict(), tmp_path / "net.safetensors")
    (tmp_path / "card.json").write_text(draft.model_dump_json())
    impasto("models", "publish", str(tmp_path / "net.safetensors"), "--card", str(tmp_path / "card.json"))
    (tmp_path / "store/stylize/tiny/1/model.safetensors").write_bytes(b"other")
    verified = impasto("models", "verify")
    assert verified.returncode == 1
    assert "stylize/tiny@1 is damaged" in verified.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("models", "show", "nope"), "there is no model stylize/nope; known: candy, composition-vii"),
        (("models", "show", "muse@latest"), "write a name, or name@version"),
        (("models", "show", "paint/muse"), "there is no task 'paint'"),
    ],
)
def test_a_model_that_does_not_exist_is_refused_in_one_sentence(
    impasto: Impasto, words: tuple[str, ...], sentence: str
) -> None:
    result = impasto(*words)
    assert result.returncode != 0
    assert sentence in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_a_file_that_is_not_a_card_is_refused(impasto: Impasto, tmp_path: Path, net: StyleNet) -> None:
    safetensors.torch.save_file(net.state_dict(), tmp_path / "net.safetensors")
    (tmp_path / "card.json").write_text("{}")
    result = impasto("models", "publish", str(tmp_path / "net.safetensors"), "--card", str(tmp_path / "card.json"))
    assert result.returncode == 1
    assert "card.json is not a card" in result.stderr
    assert not (tmp_path / "store").exists()


def test_models_are_listed_as_lines_for_other_programs(impasto: Impasto) -> None:
    lines = [line.split("\t") for line in impasto("models", "ls").stdout.splitlines()]
    assert all(len(line) == 4 for line in lines)
    (muse,) = (line for line in lines if line[0] == "stylize/muse@1")
    assert muse[1] == "The Muse"
    assert int(muse[2]) == (BUNDLED / "stylize/muse/1/model.safetensors").stat().st_size


def test_models_are_listed_as_json(impasto: Impasto) -> None:
    listed = json.loads(impasto("models", "ls", "--json").stdout)
    (muse,) = (each for each in listed if each["name"] == "muse")
    assert set(muse) == {"task", "name", "version", "title", "licence", "bytes"}
    assert (muse["task"], muse["version"]) == ("stylize", 1)


@pytest.mark.process
@pytest.mark.parametrize("colours", ["truecolor", "none"])
def test_models_are_shown_in_a_table_with_previews_where_the_terminal_can(tmp_path: Path, colours: str) -> None:
    command = [Path(sys.executable).with_name("impasto"), "models", "ls", "--previews"]
    environment = os.environ | {"IMPASTO_STORE": str(tmp_path), "TERM": "xterm", "COLORTERM": colours, "COLUMNS": "160"}
    ours, theirs = os.openpty()
    process = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # a pseudo-terminal ends with an error when its other side is closed
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    assert process.wait() == 0
    text = shown.decode()
    assert all(word in text for word in ("version", "great-wave", "The Muse", "licence"))
    assert ("▀" in text) is (colours == "truecolor")
    assert ("no previews" in text) is (colours == "none")
