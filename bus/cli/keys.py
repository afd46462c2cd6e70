"""``bus keys``: API keys. A key is shown once; the settings hold only its hash."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Annotated, Any

import typer

from bus.cli.common import Json, family, show

app = family("Make an API key.")
ROLES = ("portal", "sysadmin", "auditor", "monitor")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Who will hold it: lowercase letters, digits and hyphens.")],
    role: Annotated[str, typer.Option(help="portal, sysadmin, auditor or monitor.")],
    json: Json = False,
) -> None:
    """Make a key: it is shown here and nowhere else; the lines go under `keys:` in config.yaml."""
    if role not in ROLES:
        raise typer.BadParameter(f"{role!r} is not one of {', '.join(ROLES)}", param_hint="--role")
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise typer.BadParameter(f"{name!r} is not a name: lowercase letters, digits and hyphens", param_hint="NAME")
    key = f"snodo_{secrets.token_urlsafe(32)}"
    show({"name": name, "role": role, "key": key, "sha256": hashlib.sha256(key.encode()).hexdigest()}, json, _told)


def _told(made: dict[str, Any]) -> None:
    print(f"the key, shown only now:\n\n  {made['key']}\n\nunder keys: in config.yaml:\n")
    print(f"  - name: {made['name']}\n    role: {made['role']}\n    sha256: {made['sha256']}")
