"""The playground: a web page from which a visitor can use the server, and which loads nothing from other hosts."""

from pathlib import Path

STATIC = Path(__file__).parent / "static"
"""The folder with the files of the page."""
