"""Where models are kept."""

from typing import TYPE_CHECKING

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from model_store.card import Task
from model_store.root import BUNDLED, Root

if TYPE_CHECKING:
    from model_store.store import Store


class StoreSettings(BaseSettings):
    """Settings from the environment, prefix `IMPASTO_`."""

    model_config = SettingsConfigDict(env_prefix="IMPASTO_")

    store: str = Field(default="~/.impasto/models", min_length=1)
    """Roots of the search path, separated by commas; new models go to the first."""

    def open(self) -> "Store":
        """The search path with the bundled models last.

        Raises:
            StoreError: a root cannot be opened.
        """
        from model_store.store import Store  # noqa: PLC0415  (torch comes with it, which `local_names` does not need)

        return Store(*self.roots(), BUNDLED)

    def local_names(self, task: Task) -> list[str]:
        """The names of models that can be listed at once, sorted: those of folders, and of no URLs."""
        folders = [root for root in (*self.roots(), str(BUNDLED)) if "://" not in root]
        return sorted({name for folder in folders for name in Root(folder).names(task)})

    def roots(self) -> list[str]:
        """The folders and URLs of the search path, without the bundled models."""
        return [root.strip() for root in self.store.split(",")]
