"""Whether the rules are there by which the records say that was worked, each what its fingerprint says.

Runs name a route by its fingerprint, records ``rules`` an edition (`bus.engine.editions`): the digest of a list of files with theirs. The
texts that a route was first read from have no fingerprint: they must be files of one edition that a record put in force.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import reduce
from operator import and_
from typing import Any

from bus.errors import Damaged
from bus.log import stretches
from bus.log.diagnosis import MISLED, Broken, Fault, are_octets, octets
from bus.log.stretches import Read
from bus.message import canonical, parsed
from bus.store import Row, Tx

MOST = 20
"""Rows read at a time: each may hold a table of megabytes."""
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
    """Raises `Broken` for rules that are missing, or other ones than those that are named.

    Editions and texts are read a second time, one by one: those of ten years are not held together.
    """
    said = [parsed(octets(row["content"])) for row in tx.all("newest_rules", most=_EVERY)]
    first = {str(one["rules"]): _catalog(one["data"]) for one in said if "edition" not in one["data"]}
    read, editions, texts = dict[str, bytes](), set[str](), list[str]()
    for row in _rows(tx):
        name, content = row["digest"], octets(row["content"])
        if not are_octets(row["content"]):
            raise _broken(f"what stands in the table `rules` as {name} is a text, not bytes")
        if _DIGEST.fullmatch(name):
            if hashlib.sha256(content).hexdigest() != name and content != first.get(name):
                raise _broken(f"what stands in the table `rules` as {name} has another fingerprint")
            read[name] = _as_read(content)  # of whatever kind: a file with the bytes of something else has its row
        if row["kind"] == "edition":
            _files(name, content, "files")
            editions.add(name)
        elif name.startswith(_TEXT):
            texts.append(name)
    named = sorted({str(one["data"]["edition"]) for one in said if "edition" in one["data"]})  # the first version named none
    having = _having(tx, named, editions, read)
    for name in texts:
        sought = ((path, _as_read(text.encode())) for path, text in _files(name, _content(tx, name)).items())
        if not reduce(and_, (having.get(file, 0) for file in sought), (1 << len(named)) - 1):
            raise _broken(f"what stands in the table `rules` as {name} is not what those rules were read from")


def _rows(tx: Tx) -> Iterator[Row]:
    """All rows of the table. Raises `Broken` for one that is found under no name."""
    after = ""
    while rows := tx.all("rules_after", after=after, most=MOST):
        for row in rows:
            if not isinstance(row["digest"], str):  # SQLite sorts bytes behind every text: the next page would be the same for ever
                raise _broken("something stands in the table `rules` under what is no text, so no rules are found there")
            yield row
        after = rows[-1]["digest"]


def _content(tx: Tx, name: str) -> bytes:
    row = tx.one("rules", digest=name)
    return b"" if row is None else octets(row["content"])


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


def _having(tx: Tx, named: Sequence[str], editions: Container[str], read: Mapping[str, bytes]) -> Mapping[tuple[str, bytes], int]:
    """Which of the editions that records put in force have a file as it was read, by its path: a bit for each, in their order. Raises
    `Broken` for one that is not there with all of its files.
    """
    having: defaultdict[tuple[str, bytes], int] = defaultdict(int)
    for number, edition in enumerate(named):
        files = _files(edition, _content(tx, edition), "files") if edition in editions else {"": ""}
        if not read.keys() >= set(files.values()):
            raise _broken(f"the edition {edition}, which a record put in force, is not in the table `rules` with all of its files")
        for path, address in files.items():
            having[path, read[address]] |= 1 << number
    return having


def _as_read(content: bytes) -> bytes:
    """What tells a file apart, however its lines end: places point into it with one kind of end."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).digest()


def _broken(sentence: str) -> Broken:
    return Broken(Fault("table", sentence, hint=MISLED))
