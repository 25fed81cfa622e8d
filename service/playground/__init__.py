"""The playground: a page that uses the service from a browser, and needs nothing but this server."""

from pathlib import Path

STATIC = Path(__file__).parent / "static"
"""The folder of the page's files."""
