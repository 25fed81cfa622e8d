"""Imports go down only, and files and folders stay small enough to be read at a sitting.

Every import counts, wherever it stands: at the top of a module, inside a function, or for type checkers only.
"""

import ast
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]

PACKAGES = {"service": {"model_store"}, "trainer": {"model_store"}, "model_store": set()}
"""Each package, and the packages that it may import."""
SDK = "impasto"
"""The package of one file that names the public SDK."""
ROOMS = (
    "service.cli",
    "service.server.processes",
    "service.server.connections",
    "service.server.app",
    "service.server.routes",
    "service.server.error_handlers",
    "service.server.middleware",
    "service.server.films",
    "service.server.admitted",
    "service.server.limits.authorization",
    "service.server.state",
    "service.server.telemetry",
    "service.server.limits",
    "service.server.openapi",
    "service.server.upload",
    "service.server.archive",
    "service.server.etag",
    "service.server.cache_control",
    "service.server.settings",
    "service.batch",
    "service.video",
    "service.pipeline",
    "service.models",
    "service.engine",
    "service.inference",
    "service.codec",
    "service.device",
    "service.bench",
    "service.client",
    "service.contract",
    "service.playground",
    "trainer.cli",
    "trainer.commands",
    "trainer.galleries",
    "trainer.distillation",
    "trainer.training",
    "trainer.evaluation",
    "trainer.baselines",
    "trainer.pictures",
    "trainer.objectives",
    "trainer.data",
    "trainer.recipes",
    "trainer.errors",
    "model_store",
)
"""The top floor first. A module's room is the longest of these names that its own begins with."""
STAND_ALONE = {
    "service.bench": (set(), {"service.client"}),
    "service.client": ({"service.cli", "service.batch", "service.bench"}, {"service.contract.options"}),
    "service.playground": ({"service.server.routes.playground"}, set()),
}
"""Parts of `service` that could be packages of their own: all of it that may import them, and all that they may."""

SOURCES = {".py", ".js", ".css", ".html"}
MOST_LINES = 400
"""In a file."""
MOST_FILES = 13
"""Sources in a folder, beside `__init__.py`."""
MOST_ENTRIES = 16
"""Files and folders directly in a package."""


def is_in(module: str, room: str) -> bool:
    return f"{module}.".startswith(f"{room}.")


def is_in_any(module: str, rooms: Iterable[str]) -> bool:
    return any(is_in(module, room) for room in rooms)


def files_of(package: str) -> list[Path]:
    return [path for path in (PROJECT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for package in PACKAGES for path in files_of(package) if path.suffix == ".py"}


@cache
def imported_by(module: str) -> frozenset[str]:
    """The names of all modules that this one imports, the project's and others'."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{module} has a relative import: write the whole name"
            assert not node.level, f"{module} has a relative import: write the whole name"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= {name if name in MODULES else node.module for name in names}
    return frozenset(imported)


def imports_of_the_project() -> list[tuple[str, str]]:
    """Each module with each of the project's that it imports."""
    return [(module, each) for module in sorted(MODULES) for each in sorted(imported_by(module)) if each in MODULES]


def said(imports: list[tuple[str, str]]) -> list[str]:
    return [f"{importer} imports {imported}" for importer, imported in imports]


def floor_of(module: str) -> int:
    """The number of its room, from the top."""
    return ROOMS.index(max((room for room in ROOMS if is_in(module, room)), key=len))


def test_the_packages_are_those_that_are_shipped() -> None:
    configuration = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    shipped = set(configuration["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert shipped == {SDK, *PACKAGES}


def test_the_public_name_of_the_sdk_imports_the_client_and_the_card_alone() -> None:
    (path,) = (path for path in files_of(SDK) if path.suffix == ".py")
    imported = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    assert imported == {"service.client", "model_store.card"}


def test_a_package_imports_none_but_those_below_it() -> None:
    def package(module: str) -> str:
        return module.partition(".")[0]

    wrong = [
        (importer, imported)
        for importer, imported in imports_of_the_project()
        if package(imported) not in PACKAGES[package(importer)] | {package(importer)}
    ]
    assert not said(wrong)


def test_every_module_has_a_room_and_every_room_a_module() -> None:
    packages_themselves = set(PACKAGES) | {"service.server"}  # their `__init__` say what they are for
    without_one = {module for module in MODULES if not is_in_any(module, ROOMS)}
    assert without_one - packages_themselves == set()
    assert [room for room in ROOMS if not any(is_in(module, room) for module in MODULES)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_down_only(package: str) -> None:
    inside = [
        (importer, imported)
        for importer, imported in imports_of_the_project()
        if is_in(importer, package) and is_in(imported, package)
    ]
    assert inside
    assert not said([each for each in inside if floor_of(each[0]) > floor_of(each[1])])


@pytest.mark.parametrize("part", STAND_ALONE)
def test_what_stands_alone_imports_and_is_imported_by_next_to_nothing(part: str) -> None:
    importers, imported_too = STAND_ALONE[part]
    inside_service = [each for each in imports_of_the_project() if all(is_in(module, "service") for module in each)]
    out = [each for each in inside_service if is_in(each[0], part) and not is_in_any(each[1], {part, *imported_too})]
    into = [each for each in inside_service if is_in(each[1], part) and not is_in_any(each[0], {part, *importers})]
    assert not said(out + into)


def test_the_client_imports_no_torch_whatever_is_done_with_it() -> None:
    reached: set[str] = set()
    ahead = {module for module in MODULES if is_in(module, "service.client")}
    assert ahead
    while ahead:
        module = ahead.pop()
        reached.add(module)
        ahead |= (imported_by(module) & set(MODULES)) - reached
    assert not [module for module in reached if any(is_in(each, "torch") for each in imported_by(module))]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_has_more_lines_than_are_read_at_a_sitting(package: str) -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in files_of(package) if path.suffix in SOURCES}
    assert lengths
    assert not {str(path.relative_to(PROJECT)): lines for path, lines in lengths.items() if lines > MOST_LINES}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_has_more_files_than_are_taken_in_at_a_glance(package: str) -> None:
    folders: dict[Path, list[str]] = {}
    for path in files_of(package):
        if path.suffix in {".py", ".js"} and path.name != "__init__.py":
            folders.setdefault(path.parent, []).append(path.name)
    assert folders
    assert not {str(folder): names for folder, names in folders.items() if len(names) > MOST_FILES}
    entries = {path.relative_to(PROJECT / package).parts[0] for path in files_of(package)}
    assert len(entries) <= MOST_ENTRIES
