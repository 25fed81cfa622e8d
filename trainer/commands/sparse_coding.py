"""The command `impasto train sparse-coding`, which learns a dictionary."""

import time
from pathlib import Path
from typing import Annotated

import typer

from trainer.commands.options.inputs import PhotosOption


def train_sparse_coding(
    photos: PhotosOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="Safetensors file to write the dictionary to.")],
    *,
    factor: Annotated[int, typer.Option(min=2, help="Factor of enlargement.")] = 4,
    atoms: Annotated[int, typer.Option(min=1, help="Number of atoms in the dictionary.")] = 1024,
    tile: Annotated[int, typer.Option(min=32, help="Side of the squares that photos are cut into, in pixels.")] = 320,
    held_out: Annotated[int, typer.Option(min=0, help="Number of photos kept from learning, to measure on.")] = 16,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the random draws.")] = 0,
) -> None:
    """Learn the dictionary of a sparse-coding super-resolver (Zeyde et al. 2010), a baseline without a net."""
    import torch

    from trainer.baselines.sparse_coding import SparseCoding
    from trainer.data.squares import load_tiles
    from trainer.errors import BadDictionary
    from trainer.evaluation.super_resolution_study import Enlarger, check_size, mean_on_tiles

    if not output.parent.is_dir():
        raise BadDictionary(f"cannot write {output}: there is no folder {output.parent}")
    if held_out:
        check_size((tile, tile), factor, "a tile")
    tiles = load_tiles(photos, tile, held_out)
    typer.echo(tiles.summary)
    started = time.monotonic()
    coding = SparseCoding.learn(tiles.train.decode(), factor, atoms, seed)
    typer.echo(f"learnt {atoms} atoms in {time.monotonic() - started:.0f} s")
    coding.save(output)
    if held_out:
        enlargers = [Enlarger.bicubic(factor), Enlarger.sparse_coding("sparse coding", coding)]
        means = mean_on_tiles(enlargers, tiles.held_out, torch.device("cpu"))
        figures = ", ".join(f"{name} {scores.psnr:.2f} dB" for name, scores in means.items())
        typer.echo(f"PSNR on held-out tiles: {figures}")
    typer.echo(f"wrote {output}")
