"""The command ``bus``. This file is all that ``bus --help`` imports: one module for each family of commands, loaded when it is asked for.

Exit codes: 0 well, 1 findings or refused, 2 wrong usage (also a name or an id of nothing) or settings, 3 the bus (or its database) cannot
be reached, 5 the log is not what was signed.
With ``--json`` an error is one JSON object on standard error (`bus.cli.failures`).
"""

from __future__ import annotations

import difflib
import shutil
import sys
import textwrap
from collections.abc import Sequence
from importlib import import_module

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("serve", "Run the bus: the HTTP door and the engine, in one process."),
    "web": ("serve:web", "Run the doors only, as one of several processes."),
    "worker": ("serve:worker", "Run the engine only, as one of several processes."),
    "demo": ("demo", "Play one building application from end to end, with simulators of all systems."),
    "send": ("send", "Send a message to a running bus."),
    "message": ("runs:about_message", "Show a message: its state, its runs, its reply."),
    "case": ("runs:about_case", "Show a case: everything that happened, as one timeline."),
    "runs": ("runs", "List runs, or show one with its journal."),
    "dead": ("dead", "Dead letters: list, show, redeliver, decide, discard."),
    "why": ("why", "Say why a run went the way it went: conditions, places, values."),
    "why-not": ("why:why_not", "Say why a run did not take a step."),
    "log": ("log", "The log: show records, verify it, export a bundle, the keys that sign it."),
    "graph": ("graph", "Draw a route, or the whole municipality."),
    "report": ("report", "Write the reports that the law asks for: accesses, purposes, and those of the adapters."),
    "subject": ("subject", "Erase a person, by two persons; wrap the key store anew."),
    "retention": ("retention", "Look at what is older than it may be, by kind and month, or destroy it."),
    "witness": ("witness", "Witness logs: cosign their checkpoints with a key of another administrator."),
    "tail": ("watch", "Follow the log as it grows."),
    "top": ("watch:now", "Show how busy routes and systems are, again and again."),
    "services": ("services", "List the services of the portal, or show one."),
    "validate": ("validate", "Check settings, routes, mappings, types, tables and services."),
    "new": ("new", "Begin a route, a mapping, a service or an adapter."),
    "schema": ("schema", "Write JSON Schemas for editors: completion and hover while writing rules."),
    "fmt": ("fmt", "Lay out files of rules in one way; comments and meaning stay."),
    "test": ("trial", "Run the tests inside the route files."),
    "plan": ("plan", "Say what edited rules would have done otherwise with messages of the log; without any effect."),
    "replay": ("replay", "Recompute runs from the log under the rules they had, and compare; without any effect."),
    "status": ("activate:state", "Show the rules in force against the files."),
    "activate": ("activate", "Put the rules in the files in force, without a restart."),
    "rollback": ("activate:back", "Put earlier rules in force again."),
    "copy": ("copy", "Copy a store into another one: from SQLite to PostgreSQL."),
    "doctor": ("doctor", "Check whether everything is in order: settings, database, broker, systems, work."),
    "migrate": ("migrate", "Change the schema of the database, with work in flight; the bus must be stopped."),
    "explain": ("explain", "Say more about the code of an error or of a finding."),
    "keys": ("keys", "Make an API key."),
}
"""Name of the command; its module in this package, and the name of its family there, if it is not ``app``; what it does."""
GROUPS = {
    "Run the bus": "serve web worker demo doctor keys migrate copy",
    "Messages and runs": "send message case runs dead why why-not tail top services",
    "Rules": "new validate fmt schema test graph plan status activate rollback explain",
    "The log": "log replay report subject retention witness",
}
"""The commands as ``bus --help`` shows them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["help"] and len(arguments) > 1:  # as others have it: the help of that command
        arguments = [*arguments[1:], "--help"]
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        return _told(overview())
    if arguments[0] == "--version":
        from importlib.metadata import version

        return _told(f"snodo {version('snodo')}")
    from bus.cli.failures import USAGE, run, say, wants_json

    name = arguments[0]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean bus {near[0]}?" if near else "bus --help lists them"
        say(f"there is no command {name!r}", code="cli.usage", next=hint, as_json=wants_json(arguments))
        return USAGE
    module, _, family = COMMANDS[name][0].partition(":")
    return run(getattr(import_module(f"bus.cli.{module}"), family or "app"), f"bus {name}", arguments[1:])


def _told(text: str) -> int:
    """Print it, and import nothing as long as that goes well; returns the exit code."""
    try:
        print(text, flush=True)
    except OSError as error:
        from bus.cli.failures import unwritten

        return unwritten(error, "bus")
    return 0


def overview() -> str:
    """What ``bus --help`` says, as wide as the terminal."""
    width = shutil.get_terminal_size((140, 24)).columns
    lines = ["Usage: bus COMMAND ...", "", "The interoperability bus of a municipality."]
    for title, names in GROUPS.items():
        told = (f"{name:<11}{COMMANDS[name][1]}" for name in names.split())
        lines += ["", title, *(textwrap.fill(one, width, initial_indent=" " * 2, subsequent_indent=" " * 13) for one in told)]
    more = "bus COMMAND --help says more. Nearly all take --json. bus --version says which version this is."
    return "\n".join([*lines, "", textwrap.fill(more, width)])
