"""What tests of all packages share."""

from pathlib import Path

import pytest

PICTURES = Path(__file__).parent / "pictures"
RESEARCH_DATA = Path(__file__).parents[2] / "shared" / "data"


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
