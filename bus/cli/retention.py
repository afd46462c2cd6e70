"""``bus retention``: what is older than it may be; looked at, or destroyed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from bus.cli.common import Json, Key, Reason, Url, client, family, pages, show
from bus.cli.words import when

HELD = {
    "": "goes", "open": "held: something of the case is open, waits, or needs a person", "recent": "held: the case went on since",
    "minimum": "held: the law wants it kept still",
}  # fmt: skip

app = family("What is older than it may be: look at it, or destroy it.", bare="look")
Dry = Annotated[bool, typer.Option("--dry-run", show_default=False, help="Change nothing; that is what is done when nothing else is said.")]


@app.command()
def look(dry_run: Dry = True, url: Url = "", key: Key = "", json: Json = False) -> None:
    """What would go, by kind and month, and what is held back and why. Nothing is changed."""
    with client(url, key) as bus:
        show(_whole(lambda kind, after: bus.get("/retention", kind=kind, after=after)), json, _told)


@app.command("apply")
def apply_(
    reason: Reason,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing: say only what would go.")] = False,
    url: Url = "", key: Key = "", json: Json = False,
) -> None:  # fmt: skip
    """Destroy what may go, page by page; this cannot be undone. If it is interrupted, simply run it again."""
    if dry_run:
        look(True, url, key, json)
        return
    with client(url, key) as bus:
        show(_whole(lambda kind, after: bus.post("/retention", {"kind": kind, "after": after, "reason": reason})), json, _told)


def _whole(ask: Callable[[str, str], dict[str, Any]]) -> dict[str, Any]:
    """All kinds, all pages, added up by month."""
    from bus.engine.retention import KINDS

    kinds: list[dict[str, Any]] = []
    for kind in KINDS:
        things, payloads = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        before: str | None = None
        records = 0
        for page in pages(partial(ask, kind), "", "after"):
            before, records = page["before"], records + bool(page["record"])
            for one in page["months"]:
                things[one["month"], one["held"]] += one["things"]
                payloads[one["month"], one["held"]] += one["payloads"]
        months = [
            {"month": month, "held": held, "things": many, "payloads": payloads[month, held]}
            for (month, held), many in sorted(things.items())
        ]
        kinds.append({"kind": kind, "before": before, "months": months, "records": records})
    return {"kinds": kinds}


def _told(shown: dict[str, Any]) -> None:
    for one in shown["kinds"]:
        print(f"{one['kind']:<13}" + (f"from before {when(one['before'])}" if one["before"] else "kept for ever: the settings say no time"))
        for row in one["months"]:
            print(f"  {row['month']}  {row['things']:>8,}  {HELD.get(row['held'], row['held'])}")
        if one["before"] and not one["months"]:
            print("  nothing is that old")
