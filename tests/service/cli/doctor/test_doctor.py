"""What the doctor finds; each test breaks one thing."""

import copy
import logging
import sys
import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import service.inference
from model_store.nets import TransformNet
from model_store.root import BUNDLED
from service.cli.doctor import installation, machine, stores
from service.cli.doctor.examination import Fact, Finding, examined

from ....command import Done, Impasto

Call = Callable[[], Done]
Diagnose = Callable[[], dict[str, Any]]


class Shifted(TransformNet):
    """Makes what a net makes, a pixel further to the left."""

    def __init__(self, net: TransformNet) -> None:
        super().__init__()
        self.net, self.factor, self.multiple = net, net.factor, net.multiple
        self.eval()

    def transform(self, pictures: Tensor) -> Tensor:
        return self.net.transform(pictures).roll(1, -1)


def only_finding(diagnosis: dict[str, Any]) -> str:
    [finding] = diagnosis["findings"]
    assert isinstance(finding, str)
    return finding


def test_all_bundled_nets_are_well_on_this_machine(impasto: Impasto) -> None:
    done = impasto("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("all is well\n")
    assert done.stdout.count("off by 0.0") == len(list(BUNDLED.rglob("card.json")))


def test_facts_are_told_one_a_line_and_aligned(call: Call) -> None:
    lines = call().stdout.splitlines()
    assert lines[0] == "versions"
    assert "  python" in lines[1]
    starts = {
        len(line) - len(line[2:].lstrip().partition(" ")[2].lstrip()) for line in lines if line.startswith("  numpy")
    }
    assert starts == {38}
    assert lines[-1] == "all is well"


def test_a_program_is_told_numbers(diagnose: Diagnose) -> None:
    diagnosis = diagnose()
    assert diagnosis["well"]
    assert diagnosis["machine"]["cores"]["usable"] >= 1
    assert diagnosis["machine"]["memory"]["usable_bytes"] > 2**28
    assert diagnosis["nets"].keys() == {"stylize/muse@1", "super-resolve/x2-pixel@1"}
    net = diagnosis["nets"]["stylize/muse@1"]
    assert net["form"] == "LargeStyleNet"
    assert net["why_as_it_is"] is None
    assert net["largest_difference_255ths"] < 0.1
    assert net["ms"] > 0


def test_a_missing_extra_is_told_with_how_to_install_it_and_is_no_finding(
    diagnose: Diagnose, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version_without_heif(package: str) -> str:
        if package == "pillow-heif":
            raise PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(installation, "version", version_without_heif)
    diagnosis = diagnose()
    assert diagnosis["well"]
    assert diagnosis["extras"]["heic"] == {"installed": False, "missing": ["pillow-heif"]}
    assert diagnosis["extras"]["serve"]["installed"]
    assert "pip install 'impasto[heic]'" in call().stdout


def test_an_extra_that_a_setting_needs_is_a_finding(diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setenv("IMPASTO_STORE", "s3://paintings/models")
    finding = only_finding(diagnose())
    assert "s3://paintings/models" in finding
    assert "pip install 'impasto[remote]'" in finding


def test_one_changed_byte_of_a_checkpoint_is_found(diagnose: Diagnose, bundled: Path) -> None:
    weights = bundled / "stylize/muse/1/model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    diagnosis = diagnose()
    finding = only_finding(diagnosis)
    assert "stylize/muse@1 is damaged" in finding
    assert "install impasto again" in finding
    assert diagnosis["nets"]["super-resolve/x2-pixel@1"]["ms"] > 0


def test_bundled_nets_that_are_not_there_are_a_finding(diagnose: Diagnose, bundled: Path) -> None:
    for card in bundled.rglob("card.json"):
        card.unlink()
    assert "no bundled nets" in only_finding(diagnose())


def test_a_form_that_makes_something_else_is_found(diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.inference, "inference_form", lambda net, **_: Shifted(copy.deepcopy(net)))
    diagnosis = diagnose()
    first, second = diagnosis["findings"]
    assert "stylize/muse@1 as it is served differs by" in first
    assert "super-resolve/x2-pixel@1" in second
    assert "IMPASTO_DEVICE=cpu" in first
    assert diagnosis["nets"]["stylize/muse@1"]["form"] == "Shifted"


def test_a_form_that_gave_way_to_its_net_is_found_once_for_all_nets_with_why(
    diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_it_is(net: TransformNet, **_: object) -> TransformNet:
        logging.getLogger("service.inference.cuda.form").warning("the fast form fails: no C compiler")
        return net

    monkeypatch.setattr(service.inference, "inference_form", as_it_is)
    diagnosis = diagnose()
    finding = only_finding(diagnosis)
    assert "the fast form fails: no C compiler" in finding
    assert "stylize/muse@1, super-resolve/x2-pixel@1" in finding
    assert diagnosis["nets"]["stylize/muse@1"]["why_as_it_is"] == "the fast form fails: no C compiler"


def test_a_net_that_cannot_be_computed_does_not_keep_the_others_from_it(
    diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = service.inference.inference_form

    def fail_for_styles(net: TransformNet, *, is_exact: bool) -> TransformNet:
        if net.task == "stylize":
            raise torch.OutOfMemoryError("2 GiB are missing")
        return whole(net, is_exact=is_exact)

    monkeypatch.setattr(service.inference, "inference_form", fail_for_styles)
    diagnosis = diagnose()
    assert "stylize/muse@1 cannot be computed: OutOfMemoryError: 2 GiB are missing" in only_finding(diagnosis)
    assert diagnosis["nets"]["super-resolve/x2-pixel@1"]["ms"] > 0


def test_a_store_that_refuses_connections_is_found(diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("IMPASTO_STORE", "http://127.0.0.1:9/models")
    finding = only_finding(diagnose())
    assert finding.startswith("the store http://127.0.0.1:9/models cannot be read")
    assert "check its address" in finding


def test_a_store_that_never_answers_is_found_in_time(diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(stores, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(
        "model_store.root.Root.names", lambda root, _task: answers.wait(30) and [] if "slow" in root.url else []
    )
    monkeypatch.setenv("IMPASTO_STORE", "memory://slow")
    diagnosis = diagnose()
    answers.set()
    assert "memory://slow does not answer within" in diagnosis["findings"][0]


def test_a_folder_that_is_not_there_yet_is_no_finding_and_a_file_in_its_place_is(
    diagnose: Diagnose, bundled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert diagnose()["stores"] == {str(bundled / "nothing-here"): 0, "bundled": 2}
    file = bundled / "file"
    file.write_bytes(b"")
    monkeypatch.setenv("IMPASTO_STORE", str(file))
    assert f"{file} is a file" in only_finding(diagnose())


def test_a_setting_that_cannot_be_is_found_and_the_rest_is_examined(
    diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_MAX_PIXELS", "many")
    diagnosis = diagnose()
    assert "IMPASTO_MAX_PIXELS" in only_finding(diagnosis)
    assert len(diagnosis["nets"]) == 2


def test_a_model_to_preload_that_is_not_there_is_found(diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_PRELOAD", "mews")
    assert "IMPASTO_PRELOAD names 'mews'" in only_finding(diagnose())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_asked_for_and_not_there_is_found_once(
    diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_DEVICE", "cuda")
    monkeypatch.setattr(machine, "_DEVICE_FILES", Path("no-such-folder"))
    diagnosis = diagnose()
    assert "IMPASTO_DEVICE is cuda" in only_finding(diagnosis)
    assert diagnosis["nets"]["stylize/muse@1"]["form"] == "LargeStyleNet"


@pytest.fixture
def device_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an NVIDIA device that torch does not see."""
    file = tmp_path / "nvidia0"
    file.write_bytes(b"")
    monkeypatch.setattr(machine, "_DEVICE_FILES", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return file


@pytest.mark.usefixtures("device_file")
def test_torch_without_cuda_beside_a_device_is_found(diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_DEVICE", "auto")
    monkeypatch.setattr(torch.version, "cuda", None)
    finding = only_finding(diagnose())
    assert "was built without CUDA" in finding
    assert "IMPASTO_DEVICE=cpu" in finding


@pytest.mark.usefixtures("device_file")
def test_a_driver_that_is_too_old_for_torch_is_found(diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12040).")

    monkeypatch.setenv("IMPASTO_DEVICE", "auto")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", fail)
    finding = only_finding(diagnose())
    assert "driver on your system is too old" in finding
    assert "install a driver" in finding


def test_a_device_that_the_settings_leave_unused_is_no_finding(diagnose: Diagnose, device_file: Path) -> None:
    diagnosis = diagnose()
    assert diagnosis["well"]
    assert diagnosis["device"] == {"device": "cpu", "NVIDIA": [str(device_file)]}


def test_a_cuda_device_is_told_with_driver_memory_and_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\nGCC 13.2\n")
    monkeypatch.setattr(machine, "_DRIVER", driver)
    monkeypatch.setenv("IMPASTO_DEVICE", "cuda")
    monkeypatch.setenv("CC", "/opt/bin/cc")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**33, 2**36))
    properties = SimpleNamespace(name="H100", major=9, minor=0, multi_processor_count=132)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 92000)

    facts = {each.name: each for each in examined("device", machine.device) if isinstance(each, Fact)}

    assert facts["device"].text == "CUDA: H100"
    assert facts["compute capability"].value == "9.0"
    assert facts["device memory"].text == "8.0 GiB free of 64.0 GiB"
    assert facts["driver"].text == "580.159.04"
    assert facts["C compiler"].text.startswith("/opt/bin/cc")
    assert facts.keys() >= {"CUDA of torch", "cuDNN", "Triton"}


def test_a_format_that_pillow_was_built_without_is_found(diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.init()
    monkeypatch.delitem(Image.SAVE, "AVIF")
    diagnosis = diagnose()
    assert "does not write AVIF" in only_finding(diagnosis)
    assert diagnosis["formats"]["written"] == ["JPEG", "PNG", "WEBP"]


def test_keys_and_passwords_are_not_shown(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_API_KEYS", f"shop:{'a5' * 32}")
    monkeypatch.setenv("IMPASTO_STORE", "memory://somebody:secret@host/models")
    shown = call().stdout
    assert "IMPASTO_API_KEYS" in shown
    assert "a5a5" not in shown
    assert "IMPASTO_STORE                       memory://…@host/models" in shown
    assert "secret" not in shown


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (
            ModuleNotFoundError("No module named 'nowhere'", name="nowhere"),
            Fact("nets", "not examined, because nowhere is not installed"),
        ),
        (
            ModuleNotFoundError("No module named 'torch._C'", name="torch._C"),
            Finding("torch is installed in part (No module named 'torch._C'): install it again"),
        ),
        (
            ZeroDivisionError("by zero"),
            Finding("the nets cannot be examined: ZeroDivisionError: by zero; please report this"),
        ),
    ],
    ids=["not installed", "installed in part", "a mistake"],
)
def test_an_examination_that_breaks_off_says_why(error: Exception, result: Fact | Finding) -> None:
    def examination() -> Any:
        yield Fact("before", "was seen")
        raise error

    assert list(examined("nets", examination)) == [Fact("before", "was seen"), result]
