"""A log that 0.1.0 began: it kept the list of its routes under the fingerprint of all rules together, which is not that of the list."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from bus.log.diagnosis import Broken
from bus.log.rules import compare
from bus.message import canonical

ROUTE = canonical({"route": "prova"})
DIGEST = hashlib.sha256(ROUTE).hexdigest()
WHOLE = "f1" * 32
SAID = {"kind": "rules", "rules": WHOLE, "data": {"routes": {"prova@1": DIGEST}}}
STARTED = {"kind": "rules", "rules": WHOLE, "data": {"act": "started", "edition": hashlib.sha256(b'{"files":{}}').hexdigest(), "routes": 1}}


class Kept:
    """A database with these rows of rules and these records, the newest first."""

    def __init__(self, catalog: bytes, *records: dict[str, Any]) -> None:
        rows = {DIGEST: ("route", ROUTE), WHOLE: ("catalog", catalog), STARTED["data"]["edition"]: ("edition", b'{"files":{}}')}
        self._rows = [{"digest": digest, "kind": kind, "content": content} for digest, (kind, content) in sorted(rows.items())]
        self._records = [{"content": canonical(record)} for record in records]

    def all(self, name: str, **given: Any) -> list[dict[str, Any]]:
        return self._records if name == "newest_rules" else [row for row in self._rows if row["digest"] > given["after"]]

    def one(self, name: str, digest: str) -> dict[str, Any]:
        return next(row for row in self._rows if row["digest"] == digest)


def test_what_the_first_version_kept_is_what_its_record_says():
    compare(Kept(canonical([DIGEST]), STARTED, SAID))


@pytest.mark.parametrize(
    ("catalog", "records"),
    [
        (canonical(["ab" * 32]), [STARTED, SAID]),
        (ROUTE, [STARTED, SAID]),
        (b"", [STARTED, SAID]),
        (canonical([DIGEST]), [STARTED]),
        (b"", [STARTED, {**SAID, "data": {}}]),
    ],
    ids=["another route", "no list", "nothing", "no record of the first version", "a record without routes"],
)
def test_anything_else_under_that_fingerprint_is_found(catalog, records):
    with pytest.raises(Broken):
        compare(Kept(catalog, *records))
