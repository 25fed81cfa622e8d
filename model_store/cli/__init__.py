"""The commands `impasto models …`."""

from model_store.cli.models import app

__all__ = ["app"]
