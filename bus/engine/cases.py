"""Cases: everything that concerns one matter, known by several keys that become known over time and in any order.

A strong key (practice id, IUV, protocol number, CUI) belongs to one case; two cases that turn out to share one are joined, and
the older lives on. A weak key (codice fiscale, e-mail) names persons, not matters: it is kept for finding and never joins.
"""

from __future__ import annotations

from collections.abc import Mapping

from bus.diagnostics import logger
from bus.log.record import WEAK
from bus.store import Row, Tx


def open_case(tx: Tx, case_id: str, opened: str, keys: Mapping[str, str]) -> None:
    """Begin a case; none of its strong keys belongs to another one."""
    tx.do("add_case", id=case_id, opened=opened)
    for name, value in keys.items():
        tx.do("add_case_key", name=name, value=value, case_id=case_id, strong=int(name not in WEAK))


def add_keys(tx: Tx, case_id: str, opened: str, keys: Mapping[str, str], *, empty: bool = False) -> str:
    """Give a case more keys and join it with the cases that already have them; returns the case that lives on.

    ``empty``: nothing belongs to it yet, so that it need not begin when an older one is found.
    """
    found = {case_id}
    for name, value in keys.items():
        if name not in WEAK:
            found.update(row["case_id"] for row in tx.all("case_of_key", name=name, value=value))
    survivor = min(found)
    if empty and survivor != case_id:
        found.remove(case_id)
    else:
        tx.do("add_case", id=case_id, opened=opened)
    for gone in found - {survivor}:
        _tell_apart(tx, gone, survivor, sorted(keys.keys() - WEAK))
        _join(tx, gone, survivor)
    for name, value in keys.items():
        tx.do("add_case_key", name=name, value=value, case_id=survivor, strong=int(name not in WEAK))
    return survivor


def known_by(tx: Tx, key: str) -> list[Row]:
    """The cases (``case_id``) that ``value`` or ``name:value`` is a key of, each with the ``name`` of that key; persons' are among them."""
    name, _, value = key.partition(":")
    rows = [*tx.all("cases_by_value", name=None, value=tx.keys.token(key))]  # a value may have a colon too
    if value:
        rows += tx.all("cases_by_value", name=name, value=tx.keys.token(value))
    return rows


def _tell_apart(tx: Tx, gone: str, into: str, by: list[str]) -> None:
    """Tell of two cases that become one though each has a key of the same name: two applications under one protocol number are, as a rule,
    a mistake of whoever gave the number. The log has what joined them.
    """
    if names := [row["name"] for row in tx.all("names_of_both_cases", one=gone, other=into)]:
        logger("snodo.engine").warning(
            "case.joined", kept=into, joined=gone, by=by, each_has=names,
            sentence="two cases became one, and each had a key of its own of the same name",
            hint="are they one matter? else the key that joined them was given twice: bus case show, by the keys of either",
        )  # fmt: skip


def _join(tx: Tx, gone: str, into: str) -> None:
    for table in ("messages", "runs", "waits"):
        tx.do(f"move_{table}", gone=gone, into=into)
    tx.do("copy_case_keys", gone=gone, into=into)
    tx.do("drop_case_keys", case_id=gone)
    tx.do("drop_case", id=gone)
