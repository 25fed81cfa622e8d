"""The ways in which commands of the documents are tested; each command is claimed by exactly one."""

import re
import shlex
import tomllib
from collections.abc import Callable

import yaml

from service.server.limits import api_keys
from service.server.settings import Settings

from ..end_to_end import run_it, test_training_commands
from .commands import parse
from .markdown import PROJECT

_ASSIGNMENT = re.compile(r"([A-Z_]+)=(\S*)")


def assignments(command: str) -> tuple[dict[str, str], list[str]]:
    """Return the variables that are set before a command, and its words."""
    words = shlex.split(command)
    count = next(number for number, word in enumerate(words) if not _ASSIGNMENT.fullmatch(word))
    return dict(word.split("=", 1) for word in words[:count]), words[count:]


def check_serve(command: str) -> None:
    """Check that its settings and options exist; the other blocks are tested by a server that runs."""
    variables, words = assignments(command)
    parse(words)
    ours = {name: value for name, value in variables.items() if name.startswith("IMPASTO_")}
    given = {name.removeprefix("IMPASTO_").lower(): value for name, value in ours.items() if name != "IMPASTO_STORE"}
    assert given.keys() <= Settings.model_fields.keys()
    api_keys.parse(Settings.model_validate(given).api_keys)


def check_resumed(command: str) -> None:
    """Check that its options exist; `tests/trainer/commands/test_cli.py` stops runs and resumes them."""
    parse(shlex.split(command))


def check_bundled_gallery(command: str) -> None:
    """Check that its options exist; `tests/trainer/galleries` reads its file, whose pictures are not shipped."""
    parse(shlex.split(command))


def check_torchrun(command: str) -> None:
    """Check that the options of the command exist that each process runs."""
    parse(["impasto", *shlex.split(command.partition("$(which impasto)")[2])])


def check_compose_run(command: str) -> None:
    """Check that its service and options exist; `tests/end_to_end/test_compose.py` trains in that service."""
    found = re.fullmatch(r"docker compose --profile (\S+) run --rm (\S+) (.+)", command)
    assert found
    services = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]
    assert found[1] in services[found[2]]["profiles"]
    parse(["impasto", *shlex.split(found[3].replace("/data/painting.jpg", "painting.jpg"))])


def check_docker_build(command: str) -> None:
    """Check that its target exists; `tests/end_to_end/test_image.py` builds the image."""
    found = re.fullmatch(r"docker build -f (\S+) --target (\w+) -t impasto:\2 \.", command)
    assert found
    assert re.search(rf"^FROM \w+ AS {found[2]}$", (PROJECT / found[1]).read_text(), re.MULTILINE)


def check_pip(command: str) -> None:
    """Check that its extras exist; `tests/end_to_end/test_install.py` installs the wheel."""
    found = re.fullmatch(r"pip install \.|pip install '\.\[([\w,]+)\]'", command)
    assert found
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert set((found[1] or "dev").split(",")) <= project["optional-dependencies"].keys()


def check_make(command: str) -> None:
    """Check that the Makefile has its target and its variables."""
    _, target, *variables = command.split()
    makefile = (PROJECT / "Makefile").read_text()
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert all(f"$({variable.partition('=')[0]})" in makefile for variable in variables)


def check_remote(command: str) -> None:
    """Check the command that another host is to run; `tests/check_gpu` and the rehearsal run the same here."""
    for inner in re.findall(r"(make check-gpu[^']*)'", command):
        check_make(inner)
    for option in re.findall(r" -m check_gpu.* (--\w+)", command):
        assert f'"{option}"' in (PROJECT / "tests/check_gpu/__main__.py").read_text()


def check_pytest(command: str) -> None:
    """Check that its tests exist."""
    path = next(word for word in command.split() if word.startswith("tests/"))
    assert (PROJECT / path).exists()


def check_benchmark(command: str) -> None:
    """Check that the benchmark has its options; `tests/end_to_end/test_benchmarks.py` runs it."""
    _, script, *words = command.split()
    text = (PROJECT / script).read_text() + (PROJECT / "tests/benchmarks/servers.py").read_text()
    for option in (word for word in words if word.startswith("--")):
        assert f'"{option}"' in text


def check_hostile(command: str) -> None:
    """Check that the program has its options; the tests beside it run the same in small."""
    _, _, module, *words = command.split()
    text = (PROJECT / f"{module.replace('.', '/')}.py").read_text()
    assert all(f'"{option}"' in text for option in words if option.startswith("--"))


def check_completion(command: str) -> None:
    """Check nothing but the word: it is Typer's, and would change the shell of whoever tests."""
    assert command == "impasto --install-completion"


def check_elsewhere(_command: str) -> None:
    """Check nothing here: another script runs the command as it stands."""


Claim = Callable[[str], object]
WAYS: dict[str, tuple[Claim, Callable[[str], None] | None]] = {
    "run here": (
        lambda command: re.match(r"curl |impasto (?!serve|train|evaluate|optimize|reconstruct|--)", command),
        None,
    ),
    "tests/end_to_end/run_it.py": (lambda command: command in run_it.COMMANDS, check_elsewhere),
    "tests/end_to_end/test_training_commands.py": (
        lambda command: command in test_training_commands.COMMANDS,
        check_elsewhere,
    ),
    "tests/trainer/commands/test_cli.py": (lambda command: " --resume " in command, check_resumed),
    "tests/trainer/galleries": (
        lambda command: command.startswith("impasto train gallery bundled "),
        check_bundled_gallery,
    ),
    "settings and options": (lambda command: re.match(r"([A-Z_]+=\S* )*impasto serve", command), check_serve),
    "options of torchrun": (lambda command: command.startswith("torchrun "), check_torchrun),
    "options in compose": (lambda command: re.match(r"docker compose .* run ", command), check_compose_run),
    "tests/end_to_end/test_image.py": (lambda command: command.startswith("docker build "), check_docker_build),
    "tests/end_to_end/test_install.py": (lambda command: command.startswith("pip install "), check_pip),
    "target of make": (lambda command: command.startswith("make ") and command not in run_it.COMMANDS, check_make),
    "on another host": (lambda command: "gpu-host" in command, check_remote),
    "tests that are there": (lambda command: ".venv/bin/python -m pytest" in command, check_pytest),
    "tests/end_to_end/test_benchmarks.py": (
        lambda command: command.startswith("python tests/benchmarks/"),
        check_benchmark,
    ),
    "tests/hostile": (lambda command: command.startswith("python -m tests.hostile."), check_hostile),
    "Typer's": (lambda command: command.startswith("impasto --"), check_completion),
}
"""For each way, whether a command is tested by it, and what checks the command; None runs it as it stands."""


def ways_of(command: str) -> list[str]:
    """Return the ways in which a command is tested."""
    return [name for name, (claims, _) in WAYS.items() if claims(command)]
