"""The settings of the model store: the roots that models are kept in."""

from typing import TYPE_CHECKING

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from model_store.card import Task
from model_store.root import BUNDLED, Root

if TYPE_CHECKING:
    from model_store.store import Store


class StoreSettings(BaseSettings):
    """The settings of the model store, read from environment variables with the prefix `IMPASTO_`."""

    model_config = SettingsConfigDict(env_prefix="IMPASTO_")

    store: str = Field(default="~/.impasto/models", min_length=1)
    """The roots of the search path, separated by commas. New models go to the first one."""

    def open(self) -> "Store":
        """Open the store: these roots, and last the bundled models.

        Raises:
            StoreError: A root cannot be opened.
        """
        from model_store.store import Store  # noqa: PLC0415  (imports torch, which `local_names` does not need)

        return Store(*self.roots(), BUNDLED)

    def local_names(self, task: Task) -> list[str]:
        """Return the sorted names of the models in folders, leaving out roots at URLs, which may take long to list."""
        folders = [root for root in (*self.roots(), str(BUNDLED)) if "://" not in root]
        return sorted({name for folder in folders for name in Root(folder).names(task)})

    def roots(self) -> list[str]:
        """Return the folders and URLs of the search path, without the bundled models."""
        return [root.strip() for root in self.store.split(",")]
