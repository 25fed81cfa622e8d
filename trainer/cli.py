"""The command-line program of the trainer; each of its commands is in a file of `trainer.commands`."""

import typer

from trainer.commands.evaluate_gallery import evaluate_gallery
from trainer.commands.evaluate_style import evaluate_style
from trainer.commands.evaluate_super_resolution import evaluate_super_resolution
from trainer.commands.evaluate_video import evaluate_video
from trainer.commands.optimize import optimize
from trainer.commands.reconstruct import reconstruct_content, reconstruct_style
from trainer.commands.sparse_coding import train_sparse_coding
from trainer.commands.train_gallery import train_gallery
from trainer.commands.train_light import train_light
from trainer.commands.train_style import train_style
from trainer.commands.train_super_resolution import train_super_resolution

app = typer.Typer()

train = typer.Typer(no_args_is_help=True, help="Train a net and publish it to the store.")
train.command("style")(train_style)
train.command("super-resolution")(train_super_resolution)
train.command("gallery")(train_gallery)
train.command("light")(train_light)
train.command("sparse-coding")(train_sparse_coding)
app.add_typer(train, name="train")

evaluate = typer.Typer(
    no_args_is_help=True,
    help="Measure models of the store and painted films, or draw contact sheets of what models make.",
)
evaluate.command("super-resolution")(evaluate_super_resolution)
evaluate.command("style")(evaluate_style)
evaluate.command("gallery")(evaluate_gallery)
evaluate.command("video")(evaluate_video)
app.add_typer(evaluate, name="evaluate")

app.command("optimize")(optimize)

reconstruct = typer.Typer(
    no_args_is_help=True, help="Find pictures that have the features or the style of another picture."
)
reconstruct.command("content")(reconstruct_content)
reconstruct.command("style")(reconstruct_style)
app.add_typer(reconstruct, name="reconstruct")
