"""Where models are kept."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from model_store.store import BUNDLED, Store


class StoreSettings(BaseSettings):
    """Settings from the environment, prefix `IMPASTO_`."""

    model_config = SettingsConfigDict(env_prefix="IMPASTO_")

    store: str = Field(default="~/.impasto/models", min_length=1)
    """Roots of the search path, separated by commas; new models go to the first."""

    def open(self) -> Store:
        """The search path with the bundled models last.

        Raises:
            StoreError: a root cannot be opened.
        """
        return Store(*(root.strip() for root in self.store.split(",")), BUNDLED)
