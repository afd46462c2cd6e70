"""A log whose keys follow each other, as an auditor verifies it who knows one of them."""

from __future__ import annotations

import re

import pytest

from bus.engine import search
from bus.engine.leases import Leases
from bus.engine.sequencer import Sequencer
from bus.log import keys, log
from bus.log.diagnosis import Broken
from bus.log.note import Note, Signer, parse
from bus.log.record import Record
from bus.log.record import content as content_of
from bus.log.stored import StoredTree
from bus.log.verify import State, Trust, verify
from bus.message import new_id
from bus.store.opening import open_store
from tests.clocks import FixedClock
from tests.integration.auditing import change
from tests.tamper.logs import NOW, ORIGIN, WITNESS


class Changing:
    """A log whose key is changed; ``witness`` cosigns its newest checkpoint."""

    def __init__(self, folder):
        self.url, self.clock = f"sqlite:///{folder}/chiavi.db", FixedClock(NOW)
        self.store = open_store(self.url)

    def turn(self, *signers, lost=()):
        """Three records more, sealed by these."""
        leases = Leases(self.store, self.clock, "prova")
        self.store.write(lambda tx: [log.append(tx, Record(new_id(), "polled", NOW)) for _ in range(3)]).result(30)
        lost = tuple(str(one.verifier) for one in lost)
        sequencer = Sequencer(self.store, self.clock, leases, ORIGIN, signers, lambda: 0.0, lost)
        sequencer.turn(), sequencer.turn()

    def cosign(self):
        with self.store.read() as tx:
            newest = StoredTree(tx).checkpoint()
        found = parse(newest.note)
        evidence = found.signed(WITNESS.sign(found.text, 1_800_000_000)).encode()
        told = {"kind": "witness", "name": WITNESS.verifier.name, "size": newest.size, "time": "", "evidence": evidence}
        self.store.write(lambda tx: tx.do("add_anchor", **told)).result(30)
        return found

    def says(self, *trusted, witness=False, held=()):
        """How it ends: the kind of the fault and its leaf, or the size."""
        keys = tuple(one.verifier for one in trusted)
        try:
            return verify(self.store.read, Trust(keys, (WITNESS.verifier,) if witness else (), tuple(held))).size
        except Broken as broken:
            return broken.fault.kind, broken.fault.leaf


@pytest.fixture
def changing(tmp_path):
    made = Changing(tmp_path)
    yield made
    made.store.close()


def test_a_key_is_followed_from_the_one_before_that_signed_for_it(changing):
    old, new, other = (Signer.new(ORIGIN) for _ in range(3))
    changing.turn(old), changing.turn(new, old), changing.turn(new)
    held = changing.cosign()
    assert changing.says(old) == changing.says(old, held=[held]) == changing.says() == changing.says(old, witness=True) == 12
    assert changing.says(other)[0] == "checkpoint"


def test_the_key_of_today_suffices_for_what_former_keys_signed(changing, tmp_path):
    """It signed, with the one before, who follows whom; and all that was before stands under a root that it signed."""
    first, second, third = (Signer.new(ORIGIN) for _ in range(3))
    changing.turn(first), changing.turn(second, first)
    kept = changing.cosign()
    changing.turn(second), changing.turn(third, second), changing.turn(third)
    assert changing.says(third) == changing.says(second, third) == changing.says(first) == changing.says(third, held=[kept]) == 20
    assert changing.says(second) == 20, "one from between leads to that of today, which signed for those before"
    change(tmp_path / "chiavi.db", "UPDATE records SET content = replace(content, 'polled', 'refused') WHERE seq = 3")
    assert changing.says(third) == ("altered", 2)


def test_a_key_from_between_that_was_lost_leads_nowhere(changing):
    first, second, third = (Signer.new(ORIGIN) for _ in range(3))
    changing.turn(first), changing.turn(second, first), changing.turn(second), changing.turn(third, lost=[second])
    assert changing.says(second) == ("checkpoint", None), "the word of the log alone"
    assert changing.says(second, third) == changing.says(third) == changing.says(first, third) == 16


def test_only_keys_that_a_known_one_has_signed_come_after_it():
    first, second, third, stranger = (Signer.new(ORIGIN) for _ in range(4))
    told = [(first,), (second, first), (third, second), (stranger,)]
    contents = [content_of(keys.announcement("checkpoints", ORIGIN, signers, FixedClock(NOW))) for signers in told]
    for known, after in ((first, {first, second, third}), (second, {second, third}), (third, {third}), (stranger, {stranger})):
        assert keys.later(contents, ORIGIN, {known.verifier}) == {one.verifier for one in after}
    assert keys.later(contents, "altro", {first.verifier}) == {first.verifier}


def test_whoever_still_has_a_former_key_cannot_end_the_log_with_it(changing, tmp_path):
    old, new = (Signer.new(ORIGIN) for _ in range(2))
    changing.turn(old), changing.turn(new, old)
    assert changing.says(new) == 8
    with changing.store.read() as tx:
        newest = StoredTree(tx).checkpoint()
    text = parse(newest.note).text
    change(tmp_path / "chiavi.db", "UPDATE checkpoints SET note = ? WHERE size = ?", Note(text, (old.sign(text),)).encode(), newest.size)
    assert changing.says(new) == ("checkpoint", None)
    assert changing.says(old) == 8, "who knows that key alone cannot tell"


def test_the_key_that_came_in_the_place_of_a_lost_one_suffices_too(changing):
    old, new = (Signer.new(ORIGIN) for _ in range(2))
    changing.turn(old), changing.turn(new, lost=[old])
    assert changing.says(new) == 8


def test_a_key_in_the_place_of_a_lost_one_is_taken_from_who_knows_it_and_never_on_the_word_of_the_log(changing):
    old, new, other = (Signer.new(ORIGIN) for _ in range(3))
    changing.turn(old)
    changing.turn(new, lost=[old])
    leaf = 7
    assert changing.says(old, new) == 8
    assert changing.says(old) == changing.says() == changing.says(old, other) == ("checkpoint", None)
    with pytest.raises(Broken, match="of 8 records") as told:
        verify(changing.store.read, Trust((old.verifier,)))
    assert f"leaf {leaf} names them" in told.value.fault.hint
    assert changing.says(old, witness=True)[0] == "checkpoint", "no witness has seen it"
    changing.cosign()
    assert changing.says(old, witness=True) == 8
    assert changing.says(old) == ("checkpoint", None), "nobody trusts that witness"


def test_a_key_that_was_lost_signs_nothing_any_more_also_when_it_turns_up(changing, tmp_path):
    old, new = (Signer.new(ORIGIN) for _ in range(2))
    changing.turn(old), changing.turn(new, lost=[old]), changing.turn(new)
    resume = []
    verify(
        changing.store.read,
        Trust((old.verifier, new.verifier)),
        None,
        lambda size, of, state: resume.append(State.decode(state().encode())),
    )
    with changing.store.read() as tx:
        newest = StoredTree(tx).checkpoint()
    forged = parse(newest.note)._replace(signatures=(old.sign(parse(newest.note).text),))
    change(tmp_path / "chiavi.db", "UPDATE checkpoints SET note = ? WHERE size = ?", forged.encode(), newest.size)
    assert changing.says(old, new) == ("checkpoint", None)
    middle = next(one for one in resume if one.size == 8)
    with pytest.raises(Broken, match="no key that is trusted"):
        verify(changing.store.read, Trust((old.verifier, new.verifier)), middle)


@pytest.mark.parametrize("more", [False, True], ids=["nothing is new", "more records"])
def test_a_log_that_is_taken_at_its_word_goes_on_from_where_its_new_key_was_read(changing, more):
    first, second = (Signer.new(ORIGIN) for _ in range(2))
    states = []
    for signers in ([first], [second, first], [second]):
        changing.turn(*signers)
    size = verify(changing.store.read, Trust(), progress=lambda size, of, state: states.append(state())).size
    if more:
        changing.turn(second)
    assert verify(changing.store.read, Trust(), states[-1]).size == size + 3 * more


def test_keys_that_a_stranger_wrote_into_the_log_are_told(changing, monkeypatch):
    """Sealed by a sequencer of before, which looked at no announcement."""
    old, stranger = (Signer.new(ORIGIN) for _ in range(2))
    changing.turn(old)
    record = keys.announcement("checkpoints", ORIGIN, [stranger, old], changing.clock)
    data = {**record.data, "signed": keys.announcement("checkpoints", ORIGIN, [stranger], changing.clock).data["signed"]}
    changing.store.write(lambda tx: log.append(tx, record._replace(data=data))).result(30)
    monkeypatch.setattr(keys, "refuse_strangers", lambda contents, known: None)
    changing.turn(old)
    assert changing.says(old) == ("keys", 4)


def test_a_change_of_keys_of_before_changes_were_signed_takes_every_key_from_the_auditor(changing, monkeypatch):
    old, new = (Signer.new(ORIGIN) for _ in range(2))
    told = keys.announcement

    def unsigned(*how):
        record = told(*how)
        return record._replace(data={name: value for name, value in record.data.items() if name != "signed"})

    monkeypatch.setattr(keys, "announcement", unsigned)
    changing.turn(old), changing.turn(new, old)
    assert changing.says(old) == ("keys", 7)
    changing.turn(new)
    with pytest.raises(Broken) as found:
        verify(changing.store.read, Trust((old.verifier,)))
    assert re.search("leaf 7 names them without any signature, .* give those before and these, each with --key", found.value.fault.hint)
    assert changing.says(old, new) == 12
    changing.cosign()
    assert changing.says(old, witness=True) == 12


def test_traces_of_what_was_read_before_an_interruption_are_compared_too(changing, tmp_path):
    """Also where searches had not come to those records yet."""
    key, states = Signer.new(ORIGIN), []
    for _ in range(3):
        changing.turn(key)

    def follow(start=None):
        states.clear()
        return verify(
            changing.store.read, Trust((key.verifier,)), start, lambda size, of, state: states.append(State.decode(state().encode()))
        ).size

    size, untraced = follow(), states[0]
    while search.trace(changing.store):
        pass
    assert follow() == size
    traced = states[0]
    assert (untraced.traces, traced.traces) == (0, traced.size)
    assert follow(untraced) == follow(traced) == follow(states[-1]) == size
    change(tmp_path / "chiavi.db", "INSERT INTO traces SELECT facet, at - 1, seq FROM traces WHERE seq = (SELECT min(seq) FROM traces)")
    for start in (untraced, traced):
        with pytest.raises(Broken, match="the table `traces` holds"):
            follow(start)
    change(tmp_path / "chiavi.db", "DELETE FROM traces WHERE seq = (SELECT min(seq) FROM traces)")
    with pytest.raises(Broken, match="the table `traces` holds"):
        follow(traced)
    with pytest.raises(Broken, match="leaf 0: searches do not find"):
        follow(untraced)
