"""The commands that use models: `impasto serve`, `stylize`, `super-resolve`, `keys` and `doctor`.

The commands parse, call and print; each has a file or a folder here.
"""

import typer

from service.cli.doctor.command import doctor
from service.cli.keys import new_key
from service.cli.pictures import stylize, super_resolve
from service.cli.serve import serve

app = typer.Typer()
app.command("serve")(serve)
app.command("stylize")(stylize)
app.command("super-resolve")(super_resolve)
app.command("doctor")(doctor)

keys = typer.Typer(help="Make API keys for a server.", no_args_is_help=True)
keys.command("new")(new_key)
app.add_typer(keys, name="keys")
