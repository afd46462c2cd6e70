"""Errors on standard error: a block for people that says what, where, why and what to do next. Never a traceback.

With ``--json`` the last line is one JSON object instead: ``{code, detail, hint, status?}``, ``status`` when the bus answered over HTTP;
and what is known more: ``why`` (text), ``faults``, ``findings`` (lists), ``instance``, ``idempotency-key`` (of a message of which nobody
knows whether it was taken). Standard output stays for results.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import typer

from bus.disk import FULL, READ_ONLY
from bus.errors import RulesError, SnodoError, StoreError, Unproven, without_persons
from bus.jsontext import dumps

if TYPE_CHECKING:
    from bus.client import ClientError

FINDINGS, USAGE, UNREACHABLE, NOT_VERIFIED, INTERRUPTED = 1, 2, 3, 5, 130
HELP = ["--help", "-h"]
AWAY = frozenset({0, 502, 503, 504})
"""No answer, or one that says that the bus, or what it needs, is not there now."""
NOT_THERE = 404
"""What the words name is not there: wrong usage, as where a command looks into the database or the files by itself."""
WRONG_WORDS = frozenset({
    "dead.answer-missing", "dead.reason-missing", "export.scope", "input.invalid", "input.query", "input.time", "purpose.missing",
    "reason.person", "retention.reason-missing", "rules.too-short", "search.cursor", "search.text", "type.unknown",
})  # fmt: skip
"""Codes by which the bus says that a command was not written as it must be: wrong usage too, whoever finds it."""
_FILES = {
    errno.EEXIST: "it stays as it is: choose another name",
    errno.EROFS: READ_ONLY,
    **dict.fromkeys(FULL, "its disk is full: make room, or choose another place"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "there is no file descriptor left: raise LimitNOFILE (ulimit -n)"),
}
"""What to do about a file, by what the system says of it."""


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether ``--json`` is among the options, or ``--format json``; after ``--`` there are none."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options or "--format=json" in options or ("--format", "json") in pairwise(options)


def run(app: typer.Typer, name: str, arguments: Sequence[str]) -> int:
    """Run a family of commands; every error becomes a block, or an object, and an exit code."""
    if as_json := wants_json(arguments):
        write_utf_8()
    try:
        command = typer.main.get_command(app)
        _say_what_is_taken(command)
        _take_nothing_empty(command)
        code = command(args=list(arguments), prog_name=name, standalone_mode=False, help_option_names=HELP)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except typer.TyperException as error:
        return _misused(error, name, as_json)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        return unwritten(error, name)  # typer and rich would exit with 1
    except _no_of_the_bus() as error:
        return _answered(error, as_json)
    except SnodoError as error:
        return _told(error, as_json)
    except UnicodeEncodeError as error:
        if "surrogates" not in error.reason:
            raise
        next = "is the terminal, or the script, set to UTF-8?"
        say("one of the words is not UTF-8, and the bus has no such word", code="cli.usage", next=next, as_json=as_json)
        return USAGE
    except OSError as error:
        return _of_a_file(error, name, as_json)
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        next = "how many may there be (TasksMax in the unit, ulimit -u, the container's pids limit), and is there memory for their stacks?"
        say("the system gives this process no more threads", code="cli.threads", next=next, as_json=as_json)
        return UNREACHABLE


def write_utf_8() -> None:
    """For what programs read, whatever the terminal's locale: JSON is UTF-8 (RFC 8259), and so is a checkpoint, or a report in a file."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # what became a pipe after it was opened cannot be changed any more
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(encoding="utf-8", errors=stream.errors)


def in_json(value: Any, *, indent: bool = False) -> str:
    """JSON text to be printed. What the name of a file has that is no UTF-8 becomes U+FFFD: JSON has no other way to say it."""
    try:
        return dumps(value, indent=indent).decode()
    except TypeError:
        text = json.dumps(value, ensure_ascii=False, indent=2 if indent else None)
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def unwritten(error: BaseException, name: str) -> int:
    """The exit code where standard output takes no more. Whoever read it may have had enough (head, less): that is no error."""
    let_output_go()
    if isinstance(error, OSError) and error.errno != errno.EPIPE:
        return _of_a_file(error, name, as_json=False)
    return 0


def _say_what_is_taken(command: Any) -> None:
    """Say in the help of a command, and of those below it, what each option takes.

    typer would show ``--json <bool>``, and ``--json true`` is refused; and ``--key <list[str]>`` where one is taken each time.
    """
    context = typer.Context(command, help_option_names=HELP)
    for one in command.get_params(context):
        if getattr(one, "is_flag", False):
            one.metavar = ""
        elif "list[" in (label := one.display_type(context)):
            one.display_type = lambda _, each=label.replace("list[", "").replace("]", "").lower(): each
    for below in getattr(command, "commands", {}).values():
        _say_what_is_taken(below)


def _take_nothing_empty(command: Any) -> None:
    """Refuse an option that is said and empty: `--case "$KEY"` with a variable that is not set would be all cases instead of one."""
    for one in command.params:
        if one.param_type_name == "option" and one.callback is None:
            one.callback = _said
    for below in getattr(command, "commands", {}).values():
        _take_nothing_empty(below)


def _said(context: Any, option: Any, value: Any) -> Any:
    each = value if isinstance(value, list | tuple) else [value]
    if "" in each and context.get_parameter_source(option.name).name == "COMMANDLINE":
        raise typer.BadParameter("it is empty: leave it out, or is a variable not set?", ctx=context, param=option)
    return value


def let_output_go() -> None:
    """What could not be written to standard output goes nowhere, or Python would try it again at its exit, and fail."""
    with suppress(OSError, ValueError):  # it has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _no_of_the_bus() -> type[ClientError]:
    """Asked for only when something went wrong: most commands need no HTTP."""
    from bus.client import ClientError

    return ClientError


def _misused(error: typer.TyperException, name: str, as_json: bool) -> int:
    said = (error.format_message() if hasattr(error, "format_message") else str(error)).replace("Value error, ", "")
    said = said.removeprefix("Invalid value: ")  # of no option: a sentence of ours, which says by itself what is wrong
    context = getattr(error, "ctx", None)
    say(said or "say what to do", code="cli.usage", next=f"{context.command_path if context else name} --help", as_json=as_json)
    return USAGE


def _of_a_file(error: OSError, name: str, as_json: bool) -> int:
    hint = _FILES.get(error.errno or 0, "is it there, and yours to read and write?")
    say(f"{error.strerror or error}: {error.filename or name}", code="cli.file", next=hint, as_json=as_json)
    return USAGE


def _answered(error: ClientError, as_json: bool) -> int:
    """What the bus said, or that it said nothing (status 0)."""
    hint = "put one into SNODO_KEY, or name it with --key; bus keys new makes one" if error.code == "auth.missing" else error.hint
    sent: dict[str, Any] = {"idempotency-key": error.key if error.status in AWAY | {500} else ""}
    if as_json:
        known = {"status": error.status or None, "faults": error.faults, "instance": error.instance, **sent}
        say(error.detail, code=error.code, next=hint, as_json=True, **known)
    else:
        faults = [f"{fault.get('pointer') or 'body'}: {fault.get('sentence')}" for fault in error.faults]
        say(error.detail, code=error.code, faults="\n".join(faults), **sent, next=hint, see=error.instance)
    if error.status in AWAY:
        return UNREACHABLE
    return USAGE if error.status == NOT_THERE or error.code in WRONG_WORDS else FINDINGS


def _told(error: SnodoError, as_json: bool) -> int:
    found: list[Any] = []
    if isinstance(error, RulesError) and error.findings:
        from bus.source import render

        if as_json:
            found = json.loads(render(error.findings, "json"))
        else:
            print(render(error.findings), file=sys.stderr)
    say(error.sentence, code=error.code, why=error.detail.get("why"), next=error.hint, findings=found, as_json=as_json)
    if isinstance(error, RulesError):
        return FINDINGS
    if isinstance(error, Unproven):
        return NOT_VERIFIED
    return UNREACHABLE if isinstance(error, StoreError) else USAGE


def say(what: str, *, code: str, next: str = "", as_json: bool = False, **parts: Any) -> None:
    """One error: the sentence, then what is known of ``code``, ``next`` and ``parts`` (those that are empty are left out).

    No person that a command line names is named again: what is said here may end in a log.
    """
    what = without_persons(what)
    known = {name: part for name, part in parts.items() if part}
    if as_json:
        print(in_json({"code": code, "detail": what, "hint": next, **known}), file=sys.stderr)
        return
    lines = [f"error: {what}"]
    for label, text in {"code": code, **known, "next": next}.items():
        if text:
            first, *rest = str(text).splitlines()
            lines += [f"  {label}: {first}", *(" " * (len(label) + 4) + line for line in rest)]
    print("\n".join(lines), file=sys.stderr)
