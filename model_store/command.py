"""The command `impasto`, which has the commands of every package of the project."""

import logging
import sys
from importlib.metadata import entry_points

import typer
from pydantic import ValidationError

from model_store.errors import ImpastoError

_GROUP = "impasto.commands"
"""The group of entry points in pyproject.toml that are commands."""
_EXTRAS = {
    "model_store": "serve",
    "model_store.exchange.onnx": "onnx",
    "service": "serve",
    "service.bench": "bench",
    "service.video": "video",
    "trainer": "train",
}
"""The extra that installs what each package needs."""


def main() -> None:
    """Collect the commands by their entry points and run the one that was typed."""
    logging.basicConfig(format="%(levelname)s %(message)s")
    app = typer.Typer(
        help="Real-time style transfer and super-resolution.", no_args_is_help=True, pretty_exceptions_enable=False
    )
    for entry_point in sorted(entry_points(group=_GROUP), key=lambda entry: entry.name):
        app.add_typer(entry_point.load())
    try:
        app()
    except (ImpastoError, OSError) as error:
        sys.exit(f"impasto: {error}")
    except ValidationError as error:
        sys.exit(f"impasto: {say_what_is_wrong(error)}")
    except ModuleNotFoundError as error:
        extra = _missing_extra(error)
        if extra is None:
            raise
        sys.exit(f"impasto: this command needs {error.name}; install it with: pip install 'impasto[{extra}]'")


def say_what_is_wrong(error: ValidationError) -> str:
    """Return what is wrong with values in one sentence, calling settings by their names in the environment."""
    prefix = "IMPASTO_" if error.title.endswith("Settings") else ""
    sentences = []
    for each in error.errors():
        name = ".".join(str(part) for part in each["loc"])
        sentences.append(f"{prefix}{name.upper() if prefix else name}: {each['msg']}, not {each['input']!r}")
    return "; ".join(sentences)


def _missing_extra(error: ModuleNotFoundError) -> str | None:
    """Return the extra that the running command needs, or None if the missing module is one of the project itself."""
    if error.name is None or error.name.partition(".")[0] in _EXTRAS:
        return None
    traceback = error.__traceback__
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        packages = [package for package in _EXTRAS if f"{module}.".startswith(f"{package}.")]
        if packages and module != "model_store.command":
            return _EXTRAS[max(packages, key=len)]
        traceback = traceback.tb_next
    return None
