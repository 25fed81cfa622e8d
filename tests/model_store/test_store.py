"""The store: publishing, finding, opening and verifying models."""

import json
import subprocess
import sys
import textwrap
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from pydantic import ValidationError

from model_store.card import TASKS, Draft
from model_store.errors import CannotPublish, DamagedModel, ModelNotFound, StoreError, UnknownArchitecture
from model_store.nets import StyleNet, SuperResolutionNet
from model_store.nets.interpolation import interpolate
from model_store.root import Root, staging_folder
from model_store.settings import StoreSettings
from model_store.store import BUNDLED, Store

MEGABYTE = 1_000_000
JPEG = b"\xff\xd8\xff and so on"


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_published_model_is_opened_as_it_was(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    store = Store(tmp_path)
    card = store.publish(draft, net.state_dict())
    opened = store.open("stylize", "tiny")
    assert opened.card == card
    pictures = torch.rand(1, 3, 20, 20)
    with torch.inference_mode():
        torch.testing.assert_close(opened.net(pictures), net.eval()(pictures), atol=1 / 255, rtol=0)


def test_versions_count_from_1_and_the_newest_is_the_default(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    store = Store(tmp_path)
    labels = [store.publish(draft, net.state_dict()).label for _ in range(3)]
    assert labels == ["tiny@1", "tiny@2", "tiny@3"]
    assert store.card("stylize", "tiny").version == 3
    assert store.card("stylize", "tiny", 2).version == 2
    assert [card.label for card in store.cards()] == ["tiny@3"]


def test_a_version_holds_weights_card_and_preview(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    store = Store(tmp_path)
    store.publish(draft, net.state_dict(), preview=JPEG)
    assert files_below(tmp_path) == [
        "stylize",
        "stylize/tiny",
        "stylize/tiny/1",
        "stylize/tiny/1/card.json",
        "stylize/tiny/1/model.safetensors",
        "stylize/tiny/1/preview.jpg",
    ]
    assert store.preview("stylize", "tiny") == JPEG


def test_a_model_without_a_preview_has_none(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    store = Store(tmp_path)
    store.publish(draft, net.state_dict())
    assert store.preview("stylize", "tiny") is None


def test_weights_are_kept_in_half_precision(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    Store(tmp_path).publish(draft, net.state_dict())
    weights = safetensors.torch.load_file(tmp_path / "stylize/tiny/1/model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}


def test_later_roots_are_searched_and_versions_go_on_from_theirs(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    Store(tmp_path / "theirs").publish(draft, net.state_dict())
    store = Store(tmp_path / "ours", tmp_path / "theirs")
    assert store.publish(draft, net.state_dict()).version == 2
    assert store.versions("stylize", "tiny") == [1, 2]
    assert (tmp_path / "ours/stylize/tiny/2").is_dir()
    assert store.open("stylize", "tiny", 1).card.version == 1


def test_an_unknown_name_or_version_lists_the_known(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    store = Store(tmp_path)
    with pytest.raises(ModelNotFound, match="known: none"):
        store.open("stylize", "tiny")
    store.publish(draft, net.state_dict())
    with pytest.raises(ModelNotFound, match="no model stylize/nope; known: tiny"):
        store.open("stylize", "nope")
    with pytest.raises(ModelNotFound, match="known: tiny@1"):
        store.open("stylize", "tiny", 7)


@pytest.mark.parametrize(
    "name", ["..", "../..", "tiny/1", ".publishing", "", "tiny\n", "a\0b", "../stylize/tiny", "a" * 300]
)
def test_no_name_leads_out_of_the_store(tmp_path: Path, draft: Draft, net: StyleNet, name: str) -> None:
    store = Store(tmp_path)
    store.publish(draft, net.state_dict())
    with pytest.raises(ModelNotFound):
        store.card("stylize", name)
    assert store.versions("stylize", name) == []


def test_changed_weights_are_refused(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    store = Store(tmp_path)
    store.publish(draft, net.state_dict())
    weights = tmp_path / "stylize/tiny/1/model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    with pytest.raises(DamagedModel, match="stylize/tiny@1 is damaged"):
        store.open("stylize", "tiny")


def test_missing_weights_are_refused(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    store = Store(tmp_path)
    store.publish(draft, net.state_dict())
    (tmp_path / "stylize/tiny/1/model.safetensors").unlink()
    with pytest.raises(DamagedModel, match="stylize/tiny@1"):
        store.open("stylize", "tiny")


@pytest.mark.parametrize("content", ["", "{}", "not json"])
def test_a_broken_card_is_refused_and_left_out_of_the_list(
    tmp_path: Path, draft: Draft, net: StyleNet, content: str
) -> None:
    store = Store(tmp_path)
    store.publish(draft, net.state_dict())
    store.publish(draft, net.state_dict())
    (tmp_path / "stylize/tiny/2/card.json").write_text(content)
    with pytest.raises(DamagedModel, match="stylize/tiny@2"):
        store.card("stylize", "tiny")
    assert [card.label for card in store.cards()] == ["tiny@1"]


def test_a_card_in_the_wrong_place_is_refused(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    store = Store(tmp_path)
    store.publish(draft, net.state_dict())
    (tmp_path / "stylize/tiny").rename(tmp_path / "stylize/other")
    with pytest.raises(DamagedModel, match="is that of stylize/tiny@1"):
        store.open("stylize", "other")


def test_a_card_of_an_unknown_architecture_is_refused(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    store = Store(tmp_path)
    store.publish(draft, net.state_dict())
    path = tmp_path / "stylize/tiny/1/card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "architecture": "of tomorrow"}))
    with pytest.raises(UnknownArchitecture, match="of tomorrow"):
        store.open("stylize", "tiny")


def test_weights_that_do_not_fit_the_draft_are_not_published(tmp_path: Path, draft: Draft) -> None:
    with pytest.raises(CannotPublish, match="stylize/tiny"):
        Store(tmp_path).publish(draft, StyleNet(width=8, residual_blocks=1).state_dict())
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_published(
    tmp_path: Path, draft: Draft, net: StyleNet, value: float
) -> None:
    net.encoder[0].weight.data[0] = value
    with pytest.raises(CannotPublish, match=r"not finite in encoder\.0\.weight"):
        Store(tmp_path).publish(draft, net.state_dict())
    assert files_below(tmp_path) == []


def test_weights_too_large_for_half_precision_are_kept_in_single(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    net.encoder[0].bias.data[0] = 1e6
    store = Store(tmp_path)
    store.publish(draft, net.state_dict())
    assert store.open("stylize", "tiny").net.state_dict()["encoder.0.bias"][0] == 1e6


def test_a_net_of_another_task_or_factor_is_not_published(tmp_path: Path, draft: Draft) -> None:
    enlarging = SuperResolutionNet(2, channels=4, residual_blocks=1)
    fields = {
        **draft.model_dump(),
        "architecture": "super-resolution-net",
        "parameters": {"factor": 2, "channels": 4, "residual_blocks": 1},
    }
    for wrong in ({"task": "stylize"}, {"task": "super-resolve", "factor": 4}):
        with pytest.raises(CannotPublish, match="is for super-resolve with factor 2, and the card is for another"):
            Store(tmp_path).publish(Draft.model_validate({**fields, **wrong}), enlarging.state_dict())


def test_a_preview_that_is_not_a_jpeg_is_not_published(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    with pytest.raises(CannotPublish, match="the preview is not a JPEG"):
        Store(tmp_path).publish(draft, net.state_dict(), preview=b"GIF89a")


@pytest.mark.parametrize("url", ["nosuch://models", ""])
def test_a_root_that_cannot_be_opened_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_STORE", url)
    with pytest.raises((StoreError, ValidationError), match=r"nosuch|at least 1 character"):
        StoreSettings().open()


def test_a_root_that_cannot_be_written_to_is_found_before_publishing(tmp_path: Path) -> None:
    Store(tmp_path / "new").check_writable()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotPublish, match="cannot write to the store"):
        Store(tmp_path / "file").check_writable()


def test_publishing_to_a_root_that_cannot_be_written_to_is_refused(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotPublish, match="file"):
        Store(tmp_path / "file").publish(draft, net.state_dict())


def test_an_interrupted_publish_leaves_the_store_as_it_was(
    tmp_path: Path, draft: Draft, net: StyleNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.publish(draft, net.state_dict())
    before = files_below(tmp_path)

    def interrupted(_path: Path, _target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.publish(draft, net.state_dict())
    assert files_below(tmp_path) == before


@pytest.mark.process
def test_a_publisher_killed_while_writing_leaves_no_model_for_readers(tmp_path: Path, draft: Draft) -> None:
    script = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from model_store.card import Draft
        from model_store.nets import StyleNet
        from model_store.store import Store

        Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        draft = Draft.model_validate_json(sys.argv[2])
        Store(sys.argv[1]).publish(draft, StyleNet(width=4, residual_blocks=1).state_dict())
    """)
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path), draft.model_dump_json()], check=False)
    assert killed.returncode == -9
    store = Store(tmp_path)
    assert store.cards() == []
    assert store.publish(draft, StyleNet(width=4, residual_blocks=1).state_dict()).version == 1


def test_publishers_at_the_same_time_get_different_versions(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    stores = [Store(tmp_path) for _ in range(8)]
    threads = [threading.Thread(target=store.publish, args=(draft, net.state_dict())) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stores[0].versions("stylize", "tiny") == list(range(1, 9))


def test_a_version_is_never_overwritten(tmp_path: Path, draft: Draft, net: StyleNet) -> None:
    card = Store(tmp_path).publish(draft, net.state_dict())
    with pytest.raises(FileExistsError):
        Root(str(tmp_path)).write(card, b"other weights", None)
    card = Store("memory://never-overwritten").publish(draft, net.state_dict())
    with pytest.raises(FileExistsError):
        Root("memory://never-overwritten").write(card, b"other weights", None)


def test_a_root_can_be_any_file_system_of_fsspec(draft: Draft, net: StyleNet) -> None:
    store = Store("memory://models")
    store.publish(draft, net.state_dict(), preview=JPEG)
    assert store.publish(draft, net.state_dict()).version == 2
    assert store.open("stylize", "tiny", 1).card.name == "tiny"
    assert [card.label for card in Store("memory://models").cards()] == ["tiny@2"]


STYLES = [
    "candy",
    "composition-vii",
    "great-wave",
    "mosaic",
    "muse",
    "rain-princess",
    "sketch",
    "starry-night",
    "the-scream",
    "udnie",
]
ENLARGERS = ["x4-feature", "x4-pixel", "x4-pixel-blurred", "x4-srcnn", "x8-feature", "x8-pixel"]


def test_ten_styles_and_six_enlargers_are_bundled() -> None:
    store = Store(BUNDLED)
    assert store.names("stylize") == STYLES
    assert store.names("super-resolve") == ENLARGERS


def test_bundled_models_can_be_opened_and_are_small() -> None:
    store = Store(BUNDLED)
    for task in TASKS:
        for name in store.names(task):
            for version in store.versions(task, name):
                store.open(task, name, version)
                weights = BUNDLED / task / name / str(version) / "model.safetensors"
                assert weights.stat().st_size < 4 * MEGABYTE
                assert store.preview(task, name, version)
    assert sum(file.stat().st_size for file in BUNDLED.rglob("*")) < 60 * MEGABYTE


@pytest.mark.parametrize("pair", [*pairwise(STYLES)], ids=" and ".join)
def test_the_net_between_two_bundled_styles_paints_a_picture_between_theirs(pair: tuple[str, str], photo: Path) -> None:
    store = Store(BUNDLED)
    nets = [store.open("stylize", name).net for name in pair]
    pixels = torch.from_numpy(np.array(Image.open(photo).resize((144, 96)))).permute(2, 0, 1)[None] / 255
    painted = [net(pixels) for net in (*nets, interpolate(nets, [0.5, 0.5]))]
    likeness = torch.corrcoef(torch.stack([(painted[0] + painted[1]).flatten(), painted[2].flatten()]))[0, 1]
    assert likeness > 0.85


def test_bundled_cards_name_the_command_of_every_figure() -> None:
    for card in Store(BUNDLED).cards():
        assert card.measurements
        assert all(figure.command.startswith("impasto evaluate") for figure in card.measurements)


def test_what_a_killed_publisher_left_is_removed_by_the_next_and_what_a_living_one_writes_is_not(
    tmp_path: Path, draft: Draft, net: StyleNet
) -> None:
    killed = tmp_path / ".publishing-0123456789abcdef"
    killed.mkdir()
    (killed / "model.safetensors").write_bytes(b"half of the weights")
    with staging_folder(tmp_path) as living:
        assert not killed.exists()
        Store(tmp_path).publish(draft, net.state_dict())
        assert living.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stylize"]
