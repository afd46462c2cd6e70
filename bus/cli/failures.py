"""Errors for people: one block on stderr that says what, where, why, and what to do next. Never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from bus.client import ClientError
from bus.errors import RulesError, SnodoError, StoreError

FINDINGS, USAGE, UNREACHABLE, INTERRUPTED = 1, 2, 3, 130


def run(app: typer.Typer, name: str, arguments: Sequence[str]) -> int:
    """Run a family of commands; every error becomes a block and an exit code."""
    try:
        code = app(args=list(arguments), prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except typer.TyperException as error:
        say(error.format_message() if hasattr(error, "format_message") else str(error), next=f"{name} --help")
        return USAGE
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough (head, less): no error. The descriptor goes, or Python would write again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ClientError, SnodoError) as error:
        return _told(error)
    except OSError as error:
        say(f"{error.strerror or error}: {error.filename or name}", next="is it there, and yours to read and write?")
        return USAGE


def _told(error: ClientError | SnodoError) -> int:
    if isinstance(error, ClientError):
        faults = [f"{fault.get('pointer') or 'body'}: {fault.get('sentence')}" for fault in error.faults]
        say(error.detail, code=error.code, why="\n".join(faults), next=error.hint, see=error.instance)
        return UNREACHABLE if error.status == 0 else FINDINGS
    if isinstance(error, RulesError) and error.findings:
        from bus.source import render

        print(render(error.findings), file=sys.stderr)
    say(error.sentence, code=error.code, next=error.hint)
    if isinstance(error, RulesError):
        return FINDINGS
    return UNREACHABLE if isinstance(error, StoreError) else USAGE


def say(what: str, **parts: Any) -> None:
    """One block: the sentence, then what is known of ``code``, ``why``, ``next``."""
    lines = [f"error: {what}"]
    for label, text in parts.items():
        if text:
            first, *rest = str(text).splitlines()
            lines += [f"  {label}: {first}", *(" " * (len(label) + 4) + line for line in rest)]
    print("\n".join(lines), file=sys.stderr)
