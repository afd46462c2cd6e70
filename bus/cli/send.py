"""``bus send``: a message from a file or from standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bus.cli.common import LOCAL, Json, Key, Url, client, family, show
from bus.errors import Malformed
from bus.jsontext import parse

app = family("Send a message to a running bus.")


@app.command()
def send(
    type: Annotated[str, typer.Argument(help="Type of the message.")],
    file: Annotated[Path, typer.Argument(help="File with the body, JSON; - is standard input.")],
    url: Url = LOCAL,
    key: Key = "",
    idempotency_key: Annotated[
        str, typer.Option("--idempotency-key", help="Your name for this message: the same key is the same message.")
    ] = "",
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the reply.")] = 0,
    attach: Annotated[list[Path] | None, typer.Option(help="A file to send with it; may be given again.")] = None,
    json: Json = False,
) -> None:
    """Send a message; prints its id, and the reply if one was waited for and came."""
    body = _body(file)
    with client(url, key) as bus:
        files = [bus.attach(one) for one in attach or ()]
        answer = bus.send(type, body, idempotency_key or None, wait, files)
    show(answer, json, _told)


def _body(file: Path) -> Any:
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return parse(content)
    except OSError as error:
        raise typer.BadParameter(f"cannot read {file}: {error.strerror}", param_hint="FILE") from None
    except Malformed as error:
        raise Malformed(f"{file}: {error.sentence}", code=error.code, hint=error.hint) from None


def _told(answer: dict[str, Any]) -> None:
    from bus.cli.timeline import console

    out = console()
    out.print(f"accepted {answer['id']}")
    if "reply" in answer:
        out.print_json(data=answer["reply"])
    else:
        out.print(f"next: bus message {answer['id']}")
