"""Replies that say ``xsi:nil`` where their contract knows of none."""

from __future__ import annotations

import pytest

from bus.errors import InDoubt
from tests.unit.soap_peer import GOOD, Peer, asked

_NIL = b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/>'


@pytest.mark.parametrize(
    ("after", "nil", "said"),
    [
        (b"</dataNascita>", (b"luogoNascita",), {"luogoNascita": None}),
        (
            b"</dataNascita>",
            (b"luogoNascita", b"residenza", b"dataDecesso"),
            {"luogoNascita": None, "residenza": None, "dataDecesso": None},
        ),
        (b"</cognome><nome>ADA</nome>", (b"nome",), {"cognome": "BELLOMO", "nome": None}),
    ],
)
def test_what_a_system_says_to_be_nil_is_nothing_though_its_contract_knows_no_nil(after, nil, said):
    """So Axis and gSOAP write their null; a register that said it of its error sentence was in doubt after each registration."""
    told = b"".join(b"<" + name + _NIL for name in nil)
    body = GOOD.replace(after, (b"</cognome>" if b"ADA" in after else after) + told)
    answer = asked(Peer(body=body))["soggetto"][0]
    assert {name: answer[name] or None for name in said} == said


@pytest.mark.parametrize("needed", [b"<sesso>F</sesso>", b"<dataNascita>1971-05-03</dataNascita>"])
def test_what_the_contract_needs_may_not_be_nil(needed):
    name = needed.partition(b">")[0]
    with pytest.raises(InDoubt, match="the reply is not valid: line 2: Element"):
        asked(Peer(body=GOOD.replace(needed, name + _NIL)))
