"""The commands that use models: `impasto serve`, `stylize`, `super-resolve`, `keys` and `doctor`.

They parse, call and print; each is in a file here, or in a folder.
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

keys = typer.Typer(help="API keys of a server.", no_args_is_help=True)
keys.command("new")(new_key)
app.add_typer(keys, name="keys")
