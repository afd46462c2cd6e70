"""``bus dead``: runs that need a person, and what a person can do."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from bus.cli.common import Json, Key, Purpose, Reason, Url, client, escaped, family, show
from bus.cli.words import when
from bus.errors import one_line, visible
from bus.jsontext import parse_object

app = family("Dead letters: list, show, redeliver, decide, discard.", bare="list", other="show")
Run = Annotated[str, typer.Argument(help="Id of the run.")]


@app.command("list")
def list_dead(url: Url = "", key: Key = "", json: Json = False) -> None:
    """The newest dead letters, up to 500, newest first."""
    with client(url, key) as bus:
        show(bus.get("/dead"), json, _letters)


def _letters(found: dict[str, Any]) -> None:
    from bus.cli import timeline

    timeline.print_runs(found["dead"], "no dead letters")
    if found.get("more"):
        print("There are older ones, too: settle these first, or find them with `bus log search runs --outcome dead`.")


@app.command("show")
def show_dead(run: Run, purpose: Purpose = "", url: Url = "", key: Key = "", json: Json = False) -> None:
    """Why a run is dead, where, since when, and what can be done; what was said is shown with --purpose."""
    with client(url, key) as bus:
        show(bus.get(f"/dead/{escaped(run)}", purpose), json, _letter)


@app.command()
def evidence(
    run: Run,
    id: Annotated[str, typer.Argument(help="Id of the evidence, from `bus dead show`.")],
    purpose: Purpose = "",
    url: Url = "",
    key: Key = "",
) -> None:
    """What crossed the border, byte for byte, on standard output; a terminal is shown its control characters, and obeys none. The log
    keeps that you looked.
    """
    with client(url, key) as bus:
        content = bus.content(f"/dead/{escaped(run)}/evidence/{escaped(id)}", purpose)
    if sys.stdout.isatty():
        print("".join(one if one in "\n\t" else visible(one) for one in content.decode(errors="backslashreplace").replace("\r\n", "\n")))
    else:
        sys.stdout.buffer.write(content)


@app.command()
def redeliver(
    run: Run,
    reason: Reason,
    current_rules: Annotated[bool, typer.Option("--current-rules", help="Under the route as it is now.")] = False,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Make a dead run ready again, with the same keys. This has effects."""
    _act(url, key, json, run, "redeliver", {"reason": reason, "current_rules": current_rules})


@app.command()
def decide(
    run: Run,
    reason: Reason,
    happened: Annotated[bool, typer.Option("--happened", help="The call in doubt had its effect; needs --answer.")] = False,
    again: Annotated[bool, typer.Option("--again", help="It had none: send it again.")] = False,
    answer: Annotated[str, typer.Option(help="What the system answered, a JSON object.")] = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Say what became of a call in doubt: look at the other system first."""
    if happened == again:
        raise typer.BadParameter("say one of them: --happened or --again", param_hint="decide")
    asked: dict[str, Any] = {"reason": reason, "decision": "happened" if happened else "again"}
    if answer:
        asked["answer"] = parse_object(answer.encode())
    _act(url, key, json, run, "decide", asked)


@app.command()
def discard(run: Run, reason: Reason, url: Url = "", key: Key = "", json: Json = False) -> None:
    """Give a run up that is dead, or waits; what it did stays done, and its case goes on."""
    _act(url, key, json, run, "discard", {"reason": reason})


def _act(url: str, key: str, json: bool, run: str, verb: str, asked: dict[str, Any]) -> None:
    with client(url, key) as bus:
        show(bus.post(f"/dead/{escaped(run)}/{verb}", asked), json, lambda shown: print(f"{run} is {shown['state']}"))


def _letter(shown: dict[str, Any]) -> None:
    from bus.cli.timeline import console, print_json

    out = console()
    what = f"{one_line(shown['sentence'])} ({shown['code']})"
    out.print(f"dead letter {shown['run']}\n  what     {what}\n  where    {shown['place']}")
    out.print(f"  since    {when(shown['since'])}\n  message  {shown['message']}")
    if shown["detail"]:
        out.print("  detail", end="   ")
        print_json(out, shown["detail"])
    for one in shown["evidence"]:
        out.print(f"  {'sent' if one['role'] == 'wire-out' else 'received':<8} {when(one['time'])}  {one['size']} bytes  {one['id']}")
    if shown.get("withheld"):
        print(f"next: bus dead show {shown['run']} --purpose '…'  shows what was said; the log keeps who looked, and why")
    if shown["evidence"]:
        print(f"next: bus dead evidence {shown['run']} {shown['evidence'][-1]['id']} --purpose '…'")
    acts = ["decide RUN --happened --answer '{…}' | --again", "discard RUN"] if shown["doubt"] else ["redeliver RUN", "discard RUN"]
    if shown["doubt"]:
        out.print("  a call is in doubt: its effect may have happened. Look at the other system, then decide.")
    for act in acts:
        print(f"next: bus dead {act.replace('RUN', shown['run'])} --reason '…'")
