"""``bus services``: what the portal offers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bus.cli.common import Json, Key, Url, client, escaped, family, show
from bus.errors import counted

app = family("List the services of the portal, or show one.", bare="list", other="show")


@app.command("list")
def list_services(
    url: Url = "",
    key: Key = "",
    office: Annotated[str | None, typer.Option("--ufficio", help="Only those of this office.")] = None,
    json: Json = False,
) -> None:
    """All services of the running bus."""
    with client(url, key) as bus:
        found = [one for one in bus.get("/catalog")["servizi"] if office in (None, one["ufficio"])]
    show({"servizi": found}, json, _listed)


@app.command("show")
def show_service(
    code: Annotated[str, typer.Argument(help="Code of the service.")], url: Url = "", key: Key = "", json: Json = False
) -> None:
    """One service."""
    with client(url, key) as bus:
        show(bus.get(f"/catalog/{escaped(code)}"), json, _one)


def _listed(shown: dict[str, Any]) -> None:
    from bus.cli.timeline import print_list

    def row(one: dict[str, Any]) -> list[str]:
        fee = _euro(one["tariffa"]["importo"]) if "tariffa" in one else ""
        return [one["codice"], one["tipo"], one["ufficio"], fee, one["titolo"]]

    if shown["servizi"]:
        print_list(("codice", "tipo", "ufficio", "tariffa", "titolo"), map(row, shown["servizi"]), right=("tariffa",))
    print(counted(len(shown["servizi"]), "service"))


def _one(shown: dict[str, Any]) -> None:
    for name, value in shown.items():
        words = ", ".join(_part(*part) for part in value.items() if part[1] != "") if isinstance(value, dict) else value
        print(f"{name:<12} {words}")


def _part(name: str, said: Any) -> str:
    return f"{name} {_euro(said) if name == 'importo' else said}"


def _euro(cents: int) -> str:
    return f"{cents / 100:.2f} €"
