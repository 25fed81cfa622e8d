"""The package by which applications use the client."""

import subprocess
import sys

import pytest

import impasto
from service import client


def test_it_has_every_public_name_of_the_client_and_the_card_of_a_model() -> None:
    assert set(impasto.__all__) == {*client.__all__, "Card", "Task"}
    assert all(getattr(impasto, name) is getattr(client, name) for name in client.__all__)


@pytest.mark.process
def test_it_needs_neither_torch_nor_a_server() -> None:
    heavy = "{'torch', 'fastapi', 'starlette', 'uvicorn', 'numpy', 'PIL', 'fsspec', 'safetensors'}"
    program = f"import sys; from impasto import AsyncClient, Client; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
