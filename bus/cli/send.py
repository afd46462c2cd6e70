"""``bus send``: a message from a file, from standard input, or from the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bus.cli.common import Json, Key, Url, client, family, show
from bus.errors import Malformed
from bus.jsontext import parse

app = family()


@app.command()
def send(
    type: Annotated[str, typer.Argument(help="Type of the message.")],
    body: Annotated[
        str,
        typer.Argument(
            help="File with the body, JSON; - is standard input. What begins with { is the body itself:"
            " others on the machine can read it, so never of a person."
        ),
    ],
    url: Url = "",
    key: Key = "",
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="Your name for this message: the same key is the same message.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the reply.")] = 0,
    attach: Annotated[list[Path] | None, typer.Option(help="A file to send with it; may be given again.")] = None,
    json: Json = False,
) -> None:
    """Send a message; prints its id, whether it was taken before, and the reply if one was waited for and came."""
    if not (idempotency_key or "").isprintable():
        raise typer.BadParameter("a key is 1 to 200 printable characters: is a line break among them?", param_hint="--idempotency-key")
    data = _data(body)
    with client(url, key) as bus:
        files = [bus.attach(one) for one in attach or ()]
        answer = bus.send(type, data, idempotency_key, wait, files)
    show(answer, json, _told)


def _data(body: str) -> Any:
    written = body.lstrip().startswith("{")
    try:
        return parse(body.encode() if written else sys.stdin.buffer.read() if body == "-" else Path(body).read_bytes())
    except OSError as error:
        raise typer.BadParameter(f"cannot read {body}: {error.strerror}", param_hint="BODY") from None
    except Malformed as error:
        where = "BODY" if written else "standard input" if body == "-" else body
        raise Malformed(f"{where}: {error.sentence}", code=error.code, hint=error.hint) from None


def _told(answer: dict[str, Any]) -> None:
    from bus.cli.timeline import console, print_json

    out = console()
    repeated = "  taken before: nothing new was begun" if answer.get("repeated") else ""
    out.print(f"accepted {answer['id']}{repeated}")
    if "reply" in answer:
        print_json(out, answer["reply"])
    else:
        print(f"next: bus message {answer['id']}")
