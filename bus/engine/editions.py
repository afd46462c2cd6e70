"""Editions: rules as they were activated, file by file. The record ``rules`` says which one is in force, since when, by whom and why.

::

    record rules        rules (fingerprint of the catalog), data: edition, act, before; payload: reason
    rules/edition       the manifest: its files by SHA-256, and what is carried for runs of earlier rules
    rules/file          one file as it was written, comments too
    rules/text          the files that a route was first read from, for places as ``file:line:column``
    rules/route         one route with all that its runs need (`bus.route.compile.plan_of`)

The newest record counts. Editions that differ in comments only have one fingerprint: no run notices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from bus.catalog import Route
from bus.clock import Clock
from bus.engine.projection import write_apart
from bus.errors import UNOPENED, StoreError
from bus.log import log, rules
from bus.log.diagnosis import octets
from bus.log.record import Record, record_of
from bus.message import JsonObject, canonical, digest, new_id, parsed
from bus.rulefiles import Files, fingerprints
from bus.store import Tx, listed

Act = Literal["started", "activated", "rolled-back"]


class Edition(NamedTuple):
    """One activation: its record and its manifest (``files``, ``carried``)."""

    record: Record
    manifest: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The digest of the manifest."""
        return str(self.record.data["edition"])

    @property
    def rules(self) -> str:
        """The fingerprint of the catalog."""
        return str(self.record.rules)

    @property
    def carried(self) -> Mapping[str, Any]:
        """What only runs of earlier rules still need."""
        return self.manifest.get("carried") or {}


class Draft(NamedTuple):
    """An edition to be written: files, routes, fingerprint of the catalog, what it carries."""

    files: Files
    routes: tuple[Route, ...]
    rules: str
    carried: Mapping[str, Any]

    def manifest(self) -> JsonObject:
        return {"format": 1, "rules": self.rules, "files": {**fingerprints(self.files)}, "carried": dict(self.carried)}

    def id(self) -> str:
        return digest(self.manifest())


def newest(tx: Tx) -> Record | None:
    """The record that says which rules are in force; None before the first activation."""
    return next(iter(history(tx, 1)), None)


def history(tx: Tx, most: int) -> list[Record]:
    """Activations, the newest first. Records of version 0.1.0 tell fingerprints alone, and name no edition: they are left out."""
    records = [record_of(row["content"]) for row in tx.all("newest_rules", most=most)]
    return [record for record in records if "edition" in record.data]


def edition_of(tx: Tx, record: Record) -> Edition:
    """The edition that a record put in force. Raises `StoreError` when the store has lost it."""
    return Edition(record, manifest(tx, str(record.data["edition"])))


def manifest(tx: Tx, edition: str) -> Mapping[str, Any]:
    """What an edition is made of. Raises `StoreError`."""
    content = rules.kept(tx, edition)
    if content is None:
        raise _lost(f"the rules {edition[:12]}… were in force, and the database has them no more")
    found: Mapping[str, Any] = parsed(content)
    return found


def files_of(tx: Tx, manifest: Mapping[str, Any], known: Files | None = None) -> dict[str, bytes]:
    """The files of an edition; ``known`` are files that need not be read again. Raises `StoreError` when one is lost."""
    held = {hashlib.sha256(content).hexdigest(): content for content in (known or {}).values()}
    wanted = sorted({address for address in manifest["files"].values() if address not in held})
    if wanted:
        found = (octets(row["content"]) for row in tx.all("rules_among", digests=listed(wanted)))
        held |= {hashlib.sha256(content).hexdigest(): content for content in found}  # not by what they are called: somebody may change them
    if lost := next((path for path, address in manifest["files"].items() if address not in held), None):
        raise _lost(f"the database has the file {lost} no more, of rules that were in force")
    return {path: held[address] for path, address in manifest["files"].items()}


def _lost(sentence: str) -> StoreError:
    return StoreError(sentence, code="rules.lost", hint="bus log verify says what is missing; restore the table `rules` from a backup")


def put(tx: Tx, draft: Draft, act: Act, clock: Clock, actor: str, reason: JsonObject, before: str | None, restores: str | None) -> Record:
    """Keep an edition and write the record that puts it in force. ``before``: the record that the next rollback goes back to."""
    shown = draft.manifest()
    rows = [{"digest": one.plan.digest, "kind": "route", "content": canonical(one.plan.rules)} for one in draft.routes]
    rows += [{"digest": f"text {one.plan.digest}", "kind": "text", "content": canonical(dict(one.texts))} for one in draft.routes]
    rows += [{"digest": hashlib.sha256(content).hexdigest(), "kind": "file", "content": content} for content in draft.files.values()]
    tx.many("add_rules", [*rows, {"digest": digest(shown), "kind": "edition", "content": canonical(shown)}])
    data: dict[str, Any] = {"edition": digest(shown), "act": act, "routes": len(draft.routes)}
    data |= {name: value for name, value in (("before", before), ("restores", restores)) if value is not None}
    record = Record(new_id(), "rules", clock.now(), rules=draft.rules, actor=actor, data=data)
    write_apart(tx, record, {"reason": reason})
    return record


def reason_of(tx: Tx, record: Record) -> JsonObject:
    """``{text, as?}``; empty when it cannot be opened any more."""
    identity = record.payload("reason")
    try:
        found: JsonObject = log.json_payload(tx, identity) if identity else {}
    except UNOPENED:
        return {}
    return found


def in_flight(tx: Tx, known: Iterable[str]) -> list[JsonObject]:
    """Runs that have not ended, counted by route, version and digest, and how many of them are dead; without those under plans that are
    ``known``.
    """
    without = set(known)
    return [{**row, "dead": int(row["dead"])} for row in tx.all("runs_by_plan") if row["digest"] not in without]
