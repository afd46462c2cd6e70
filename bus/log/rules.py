"""Whether the rules are there by which the records say that was worked, each what its fingerprint says.

Runs name a route by its fingerprint, records ``rules`` an edition (`bus.engine.editions`): the digest of a list of files with theirs. The
texts that a route was first read from have no fingerprint: they must be files of one edition that a record put in force.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from bus.errors import Damaged
from bus.log import stretches
from bus.log.diagnosis import MISLED, Broken, Fault, are_octets, octets
from bus.log.stretches import Read
from bus.message import canonical, parsed
from bus.store import Tx

MOST = 500
"""Rows read at a time."""
_DIGEST = re.compile("[0-9a-f]{64}")
"""What rules stand under that have a fingerprint."""
_TEXT = "text "
"""What the texts stand under that a route was read from; its fingerprint follows."""
_EVERY = 2**31
Files = Mapping[str, str]
"""The fingerprint of each file of an edition, by its path."""


def kept(tx: Tx, digest: str) -> bytes | None:
    """What the table has under a fingerprint; None where it has nothing. Raises `Damaged` for what has another one."""
    row = tx.one("rules", digest=digest)
    content = None if row is None else octets(row["content"])
    if content is not None and hashlib.sha256(content).hexdigest() != digest:
        sentence = f"what stands in the table `rules` as {digest[:12]}… has another fingerprint"
        raise Damaged(sentence, code="rules.lost", hint="bus log verify says what is amiss; restore the table `rules` from a backup")
    return content


def compare(tx: Tx) -> None:
    """Raises `Broken` for rules that are missing, or other ones than those that are named."""
    after, editions, read, texts = "", dict[str, Files](), dict[str, bytes](), dict[str, Files]()
    said = [parsed(octets(row["content"])) for row in tx.all("newest_rules", most=_EVERY)]
    first = {str(one["rules"]): _catalog(one["data"]) for one in said if "edition" not in one["data"]}
    while rows := tx.all("rules_after", after=after, most=MOST):
        for row in rows:
            if not isinstance(row["digest"], str):  # SQLite sorts bytes behind every text: the next page would be the same for ever
                raise _broken("something stands in the table `rules` under what is no text, so no rules are found there")
            after, content = row["digest"], octets(row["content"])
            if not are_octets(row["content"]):
                raise _broken(f"what stands in the table `rules` as {after} is a text, not bytes")
            if _DIGEST.fullmatch(after):
                if hashlib.sha256(content).hexdigest() != after and content != first.get(after):
                    raise _broken(f"what stands in the table `rules` as {after} has another fingerprint")
                read[after] = _as_read(content)  # of whatever kind: a file with the bytes of something else has its row
            if row["kind"] == "edition":
                editions[after] = _files(after, content, "files")
            elif after.startswith(_TEXT):
                texts[after] = _files(after, content)
    in_force = _in_force([one["data"] for one in said], editions, read)
    for name, files in texts.items():
        _of_one_edition(name, files, in_force, read)


def named(read: Read) -> None:
    """Raises `Broken` where runs work by rules that are not there."""
    if missing := {row["digest"] for row in stretches.found(read, "rules_missing", "runs")}:
        raise _broken(f"the rules {min(missing)}, by which there are runs, are not in the table `rules`")


def _files(name: str, content: bytes, *within: str) -> Files:
    """The files that an edition, or the texts of a route, consist of. Raises `Broken` for what is neither."""
    try:
        found = parsed(content)
        for step in within:
            found = found[step]
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise _broken(f"what stands in the table `rules` as {name} is called what it is not: it names no files")
    return found


def _catalog(data: Mapping[str, Any]) -> bytes | None:
    """What the first version kept under the fingerprint of all rules together: not what it is of, but the fingerprints of the routes."""
    routes = data.get("routes")
    return canonical(sorted(map(str, routes.values()))) if isinstance(routes, dict) else None


def _in_force(said: Iterable[Mapping[str, Any]], editions: Mapping[str, Files], read: Mapping[str, bytes]) -> list[Files]:
    """The editions that records put in force, which are all there, each with its files. The first version told none."""
    named = {str(data["edition"]) for data in said if "edition" in data}
    for edition in sorted(named):
        if edition not in editions or not set(editions[edition].values()) <= set(read):
            raise _broken(f"the edition {edition}, which a record put in force, is not in the table `rules` with all of its files")
    return [editions[edition] for edition in named]


def _of_one_edition(name: str, texts: Files, in_force: list[Files], read: Mapping[str, bytes]) -> None:
    """Raises `Broken` for texts that are not all files of one edition."""
    sought = {path: _as_read(text.encode()) for path, text in texts.items()}
    if not any(all(read.get(files.get(path, "")) == content for path, content in sought.items()) for files in in_force):
        raise _broken(f"what stands in the table `rules` as {name} is not what those rules were read from")


def _as_read(content: bytes) -> bytes:
    """What tells a file apart, however its lines end: places point into it with one kind of end."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).digest()


def _broken(sentence: str) -> Broken:
    return Broken(Fault("table", sentence, hint=MISLED))
