"""What tests of all packages share."""

from pathlib import Path

import pytest

PICTURES = Path(__file__).parent / "pictures"
RESEARCH_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `cuda` where there is no such device."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def photo() -> Path:
    """A photo of 600×400."""
    return PICTURES / "coffee.jpg"


@pytest.fixture
def research_data() -> Path:
    """Benchmarks, loss networks and photos, which are not part of the project."""
    if not RESEARCH_DATA.is_dir():
        pytest.skip("needs the research data")
    return RESEARCH_DATA
