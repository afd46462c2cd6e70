"""A plan in words and as JSON: counts first, then what would be otherwise, the most frequent first, each with its place and examples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bus.planning.course import Course, Group
from bus.planning.edits import Edit
from bus.planning.masks import Masks
from bus.replay.fields import MISSING
from bus.replay.places import Places
from bus.rulefiles import Files
from bus.source import Finding, read, render

WORDS: Mapping[str, str] = {
    "refused": "message refused at the door", "run added": "route starts", "run removed": "route does not start any more",
    "run renamed": "route under another name",
    "branch": "another branch", "no answer": "call without an answer in the log", "end changed": "ends otherwise",
    "message added": "message sent besides", "message removed": "message not sent any more",
    "message changed": "message with another value", "message shifted": "message sent at another time",
    "call added": "call made besides", "call removed": "call not made any more", "call changed": "call with another value",
    "call moved": "call in another order", "call shifted": "call made at another time",
    "reply added": "reply given besides", "reply removed": "reply not given any more",
    "reply changed": "reply with another value", "reply shifted": "reply given at another time", "key changed": "key of the case",
    "run key changed": "key that tells repeated messages", "wait added": "waits besides",
    "wait removed": "does not wait any more", "wait changed": "waits otherwise",
    "arrival added": "message taken besides", "arrival removed": "message not taken any more",
    "no arrival": "waits for what no message of the log brings",
}  # fmt: skip
_ORDER = {kind: place for place, kind in enumerate(WORDS)}


@dataclass
class Planned:
    """Everything a plan found. ``flight`` are rows ``route, version, digest, state, runs`` of runs that have not ended, and
    ``types``: those that the edits change and that such runs may wait for. ``before`` and ``after`` are the files of both rules.
    ``values``: examples show what was said. ``unopened``: texts of these messages that nobody erased and nobody can open, and journals of
    which a record was changed.
    """

    rules: str
    edited: str
    course: Course | None = None
    messages: int = 0
    edits: Sequence[Edit] = ()
    findings: Sequence[Finding] = ()
    flight: Sequence[Mapping[str, Any]] = ()
    before: Files = field(default_factory=dict)
    after: Files = field(default_factory=dict)
    values: bool = False
    unopened: int = 0
    _places: dict[tuple[str, bool], Places] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing at all would be otherwise, and no finding is new."""
        return not self.groups and not self.findings

    @property
    def groups(self) -> list[Group]:
        found = self.course.groups.values() if self.course else ()
        return sorted(found, key=lambda one: (_ORDER[one.kind], -one.count, one.place, one.subject, one.fields, one.old))

    def at(self, group: Group) -> str:
        """``file:line:column`` of a group: in the edited files, or in those in force for what is not there any more."""
        if "@" not in group.place:
            return self._in_type(group)
        route = group.place.partition("@")[0]
        return self._of(route, old=group.old).of(group.place, group.fields, self._of(route, old=not group.old))

    def _in_type(self, group: Group) -> str:
        """Where a type declares the field, or tells the key."""
        file, files = f"mappings/types/{group.place}.yaml", self.before if group.old else self.after
        if file not in files:
            return group.place
        line, column = read(files[file], file).place(_pointer(group.fields), key=True)
        return f"{file}:{line}:{column}"

    def _of(self, route: str, *, old: bool) -> Places:
        """The places of a route in force (``old``) or edited; there are none where it is not."""
        if (route, old) not in self._places:
            catalog = None if self.course is None else self.course.before if old else self.course.after
            found = catalog.routes.get(route) if catalog else None
            self._places[route, old] = Places(found.texts if found else {})
        return self._places[route, old]

    # -- JSON ---------------------------------------------------------------------------------------------------------------

    def as_json(self) -> dict[str, Any]:
        masks, counts = self._masks(), self.course.counts if self.course else {}
        return {
            "rules": self.rules, "edited": self.edited, "empty": self.empty,
            "messages": {
                "looked_at": self.messages, "concerned": counts.get("concerned", 0), "same": counts.get("same", 0),
                "changed": counts.get("changed", 0), "erased": counts.get("erased", 0), "unopened": self.unopened,
            },
            "routes": self._routes(),
            "edits": [{"at": one.place, "what": one.what} for one in self.edits],
            "changes": [self._group(one, masks) for one in self.groups],
            "in_flight": [dict(row) for row in self.flight],
            "findings": [asdict(one) for one in self.findings],
        }  # fmt: skip

    def _routes(self) -> list[dict[str, Any]]:
        both = self.course.routes if self.course else {}
        return [
            {
                "route": name, "before": old.version if old else None, "after": new.version if new else None,
                "digest_before": old.digest if old else None, "digest_after": new.digest if new else None,
            }
            for name, (old, new) in both.items()
        ]  # fmt: skip

    def _group(self, group: Group, masks: Masks) -> dict[str, Any]:
        return {
            "kind": group.kind, "count": group.count, "messages": len(group.messages), "at": self.at(group), "in_force": group.old,
            "place": group.place, "subject": group.subject, "fields": list(group.fields),
            "examples": [
                {"message": message, "before": masks.shown(before, _of_value(group)), "after": masks.shown(after, _of_value(group))}
                for message, before, after in group.examples
            ],
        }  # fmt: skip

    def _masks(self) -> Masks:
        return Masks(self.course.people if self.course else {}, hides=not self.values)

    # -- text ---------------------------------------------------------------------------------------------------------------

    def as_text(self) -> str:
        parts = [self._head(), self._edited(), self._counts(), self._changes(), self._in_flight(), self._findings()]
        return "\n\n".join("\n".join(lines) for lines in map(list, parts) if lines)

    def _head(self) -> Iterator[str]:
        if self.course is None:
            yield f"The rules are those in force ({self.rules[:12]}): nothing would be otherwise."
        else:
            many = f"{self.course.counts['changed']:,}" if self.groups else "none"
            told = f"{many} of {self.messages:,} messages would have gone otherwise."
            yield f"Rules in force {self.rules[:12]}, edited {self.edited[:12]}: {told}"

    def _edited(self) -> Iterator[str]:
        if self.edits:
            yield "Edited"
            yield from (f"  {one.place}  {one.what}" for one in self.edits)
        for route in self._routes():
            old, new = ("–" if version is None else f"version {version}" for version in (route["before"], route["after"]))
            yield f"  route {route['route']}: {old if old == new else f'{old} → {new}'}"

    def _counts(self) -> Iterator[str]:
        if self.course is not None:
            counts = self.course.counts
            yield f"Messages   {self.messages:,} looked at, {counts['concerned']:,} concerned by the edits:"
            yield f"           {counts['changed']:,} otherwise, {counts['same']:,} the same, {counts['erased']:,} erased"
        if self.unopened:
            yield f"           texts and journals that cannot be read, though no record says that they were erased: {self.unopened:,}"
            yield "           (bus log verify says which; a message that needs one counts as erased)"

    def _changes(self) -> Iterator[str]:
        masks = self._masks()
        otherwise = {one.subject for one in self.groups if one.kind in ("message added", "message changed", "message removed")}
        for group in self.groups:
            what = " ".join(part for part in (group.subject, ", ".join(group.fields)) if part)
            yield f"{group.count:>7,} × {WORDS[group.kind]}{what and ': '}{what}"
            places = "  ".join(dict.fromkeys((self.at(group), group.place)))  # a type whose file was not edited has but its name
            yield f"          {'in force ' if group.old else ''}{places}"
            if group.kind in ("wait added", "wait changed") and group.subject in otherwise:
                yield "          your rules send that otherwise, too: what other runs would send is not followed into this wait"
            for message, before, after in group.examples:
                shown = [masks.shown(value, _of_value(group)) for value in (before, after)]
                yield f"          {message}" + ("" if before is after is MISSING else f"  {' → '.join(shown)}")

    def _in_flight(self) -> Iterator[str]:
        if self.flight:
            yield "In flight  they end under the rules that they began with:"
            for row in self.flight:
                yield f"{row['runs']:>7,} × {row['state']}  {row['route']}@{row['version']} ({row['digest'][:12]})"
                for name in row["types"]:
                    gone = self.course is not None and name not in self.course.after.types
                    how = "gone: it is taken as it was, for them" if gone else "otherwise: messages come as the edited type lets them in"
                    yield f"             it may wait for {name}, which is {how}"
            if any(row["state"] == "dead" for row in self.flight):
                yield "           dead ones take the new rules with: bus dead redeliver RUN --current-rules"

    def _findings(self) -> Iterator[str]:
        if self.findings:
            yield "New findings"
            yield render(self.findings)


def _of_value(group: Group) -> tuple[str, ...]:
    """The fields that the examples are values of; what is wrong with a field is not its value."""
    return () if group.kind == "refused" else group.fields


def _pointer(fields: Sequence[str]) -> list[str]:
    """Where a type says something of a field of its messages (`declared`), or of their keys."""
    first, *rest = re.findall(r"\[\]|[^.\[\]]+", fields[0]) if fields else ["type"]
    if first != "body":
        return ["case" if first == "keys" else first, *rest]
    return ["schema", *(part for one in rest for part in (["items"] if one == "[]" else ["properties", one]))]
