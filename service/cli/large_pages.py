"""Large memory pages, which torch must be asked for before it is imported."""

import os


def ask_for_large_pages() -> None:
    """Have torch ask for large pages: mapping small ones for each picture costs a CPU up to a tenth of its time."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
