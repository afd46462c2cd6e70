"""``bus dead``: runs that need a person, and what a person can do."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from bus.cli.common import Json, Key, Purpose, Reason, Url, bar, client, escaped, family, pages, show
from bus.cli.failures import FINDINGS
from bus.cli.runs import write_evidence
from bus.cli.words import when
from bus.client import Client, ClientError
from bus.errors import counted, one_line
from bus.jsontext import parse_object

app = family("Dead letters: list, show, redeliver, decide, discard.", bare="list", other="show")
OF_ONE_RUN = frozenset({404, 410, 422, 500})
"""It is not there, was erased, cannot be redelivered, is damaged: what the bus says so stops no other run."""
Run = Annotated[str, typer.Argument(help="Id of the run.")]
Code = Annotated[str | None, typer.Option(help="Only runs that ended with this code.")]
Route = Annotated[str | None, typer.Option(help="Only runs of this route.")]


@app.command("list")
def list_dead(code: Code = None, route: Route = None, url: Url = "", key: Key = "", json: Json = False) -> None:
    """The newest dead letters, up to 500, newest first."""
    with client(url, key) as bus:
        show(bus.get("/dead", code=code, route=route), json, _letters)


def _letters(found: dict[str, Any]) -> None:
    from bus.cli.timeline import print_list

    if found["dead"]:
        rows = ((when(one["changed"]), one["id"], one["place"], one["reason"]) for one in found["dead"])
        print_list(("dead since", "run", "place", "code"), rows)
    else:
        print("no dead letters")
    if found.get("next"):
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
        write_evidence(bus, run, id, purpose)


@app.command()
def redeliver(
    reason: Reason,
    run: Annotated[str, typer.Argument(help="Id of the run; without it all that ended with --code.", show_default=False)] = "",
    code: Annotated[str | None, typer.Option(help="All runs that ended with this code, the oldest first.")] = None,
    route: Annotated[str | None, typer.Option(help="With --code: only runs of this route.")] = None,
    current_rules: Annotated[bool, typer.Option("--current-rules", help="Under the route as it is now.")] = False,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> int:
    """Make dead runs ready again, with the same keys: one, or all that ended with a code. This has effects."""
    if bool(run) == bool(code) or (route and not code):
        raise typer.BadParameter("say which: a run, or --code and perhaps --route", param_hint="redeliver")
    asked = {"reason": reason, "current_rules": current_rules}
    if run:
        _act(url, key, json, run, "redeliver", asked)
        return 0
    with client(url, key) as bus:
        dead = [one["id"] for page in pages(lambda after: bus.get("/dead", code=code, route=route, after=after)) for one in page["dead"]]
        done = _redeliver_all(bus, dead[::-1], asked)
    show(done, json, _redelivered)
    return FINDINGS if done["refused"] else 0


def _redeliver_all(bus: Client, runs: list[str], asked: dict[str, Any]) -> dict[str, Any]:
    """Each by itself, in this order: those that are ready again, and why others may not be. What stops the bus stops this, too."""
    done: dict[str, Any] = {"redelivered": [], "refused": []}
    try:
        with bar("redelivering", "runs") as moved:
            for number, run in enumerate(runs, 1):
                try:
                    bus.post(f"/dead/{run}/redeliver", asked)
                except ClientError as error:
                    if error.status not in OF_ONE_RUN:
                        raise
                    done["refused"].append({"run": run, "code": error.code, "detail": error.detail, "hint": error.hint})
                else:
                    done["redelivered"].append(run)
                moved(number, len(runs))
    except BaseException:
        print(f"{len(done['redelivered'])} of {counted(len(runs), 'run')} are ready again; the rest is as it was", file=sys.stderr)
        raise
    return done


def _redelivered(done: dict[str, Any]) -> None:
    print(
        f"{counted(len(done['redelivered']), 'run')} made ready again"
        if done["redelivered"] or done["refused"]
        else "no dead letter ended so: `bus dead list` says how each did"
    )
    for one in done["refused"]:
        print(f"not {one['run']}: {one_line(one['detail'])} ({one['code']})")
        if one["hint"]:
            print(f"  next: {one['hint']}")


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
        raise typer.BadParameter("say one of them: --happened or --again")
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
