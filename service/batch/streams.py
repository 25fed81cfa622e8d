"""Standard input and output in the place of files: a picture or an output that is named `-`."""

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from model_store.errors import ImpastoError
from service.batch.work_list import SUFFIXES, PictureJob, WorkList, list_work
from service.client.options import Format
from service.video import encoding

STREAM = "-"
"""The name that stands for standard input among the pictures, and for standard output as the output."""


@contextmanager
def work_of(pictures: Sequence[str], output: str, format: Format) -> Iterator[WorkList]:  # noqa: A002
    """Provide the work list, in which files stand for the streams; at the end, standard output gets what was made.

    Args:
        pictures: The arguments as for `list_work`, or `-` alone.
        output: The output as for `list_work`, or `-`.
        format: The format of the output files.

    Raises:
        FileNotFoundError: An argument stands for no file; the message is for the user.
        ImpastoError: The pictures cannot be written to the output, or `-` stands beside others.
    """
    if STREAM not in (*pictures, output):
        yield list_work(pictures, output, format)
        return
    if len(pictures) > 1:
        raise ImpastoError(f"'{STREAM}' stands for one picture: give no others with it")
    with tempfile.TemporaryDirectory(prefix="impasto-") as folder:
        picture = pictures[0]
        if picture == STREAM:
            picture = str(Path(folder, "standard input"))
            with open(picture, "wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        elif Path(picture).is_dir():
            raise ImpastoError(f"only one picture can be written to '{STREAM}', and {picture} is a folder")
        if output != STREAM:
            if not Path(output).suffix or Path(output).is_dir():
                raise ImpastoError(f"give a file for the picture from '{STREAM}', as in -o painting.jpg")
            yield list_work([picture], output, format)
            return
        if not Path(picture).is_file():
            raise FileNotFoundError(f"there is no file {picture}")
        if Path(picture).suffix.lower() in encoding.SUFFIXES:
            raise ImpastoError(f"a film cannot be written to '{STREAM}': give a file, as in -o painted.mp4")
        made = Path(folder, f"standard output{SUFFIXES.get(format, '')}")
        yield WorkList([PictureJob(Path(picture), made)], Counter())
        if made.exists():
            sys.stdout.buffer.write(made.read_bytes())
            sys.stdout.buffer.flush()
