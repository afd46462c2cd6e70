"""A plan over many messages: the rules in force and the edited ones, each message through both, differences counted and grouped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from bus.adapter import Operation
from bus.catalog import Catalog, changed_types
from bus.engine.asks import Answered, Arrived, Noted, Send
from bus.engine.interpreter import at_the_door, case_keys
from bus.errors import Damaged, ExpressionError
from bus.mapping.types import Fault, MessageType
from bus.message import JsonValue, Message, parsed
from bus.planning.borrowed import ErasedError, Logged, Memory, arriving, instead, remember, vacant, without
from bus.planning.difference import Change, Kind, declared, differences, paired
from bus.planning.way import NOTHING, Walker, Way
from bus.replay.evidence import Evidence, Opening
from bus.replay.fields import MISSING, changes
from bus.replay.people import named
from bus.route.plan import GatherStep, Plan, WaitStep


@dataclass(slots=True)
class Group:
    """Changes of one kind at one place. ``examples``: message, value before, value after."""

    kind: Kind
    place: str
    subject: str
    fields: tuple[str, ...]
    old: bool
    count: int = 0
    messages: set[str] = field(default_factory=set)
    examples: list[tuple[str, JsonValue, JsonValue]] = field(default_factory=list)


class Waiting(NamedTuple):
    """A wait that a message would fulfil, or that it would come too late for: of which run, of which message, where, and its state now."""

    run: str
    message: str
    path: str
    state: str


class _Pair(NamedTuple):
    """A message ``was`` under the plan ``before``, and what stands in its place, often itself, under the plan ``after``, from one entry."""

    was: Message
    now: Message
    before: Plan | None
    after: Plan | None
    entry: str
    memory: Memory
    then: Memory | None = None
    """What the edited rules are told, if it is something else than ``memory``."""


class _Here(NamedTuple):
    """The evidence in which one looks, and how many messages that send one another were followed to it."""

    page: Evidence
    depth: int = 0

    def beyond(self, page: Evidence) -> _Here:
        """One deeper, in other evidence."""
        return _Here(page, self.depth + 1)


_PLANNED = "planned "
"""How the id of a message begins that the log has not: then come that of the one behind it that the log has, and the paths between."""
_NO_TYPE = "there is no message type {}"
_CLOSED = "!closed"
"""How the path ends at which a run says that messages are late."""
DEEPEST = 5
"""How many messages that send one another are followed."""


@dataclass
class Course:
    """Messages go in by `take`, page by page. ``most``: examples kept of each group; ``evidence``: of other messages, by their ids;
    ``woken``: of those whose runs such messages woke; ``waits``: for messages of the case of a message, of a type, with some keys;
    ``logged``: what the log has for waits that only the edited rules open.

    ``origins``: by sender, what `senders` of a type calls it, as far as that is known.
    ``changed`` are the types that are otherwise; ``people`` are the names of persons in the messages of the examples, and what they are:
    they are not to be shown.
    """

    before: Catalog
    after: Catalog
    operations: Mapping[str, Operation]
    most: int
    evidence: Callable[[Sequence[str]], Evidence]
    woken: Callable[[Sequence[str]], Evidence]
    waits: Callable[[str, str, Mapping[str, str]], Sequence[Waiting]]
    logged: Logged
    origins: Mapping[str, str] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    groups: dict[tuple[object, ...], Group] = field(default_factory=dict)

    def __post_init__(self) -> None:
        logged = replace(self.logged, came=lambda near, *asked: self.logged.came(_known(near), *asked))
        self._walker = Walker(self.operations, self._fault, logged, self._given)
        names = sorted({*self.before.routes, *self.after.routes})
        plans = {name: (_plan(self.before, name), _plan(self.after, name)) for name in names}
        self.routes = {name: both for name, both in plans.items() if _digest(both[0]) != _digest(both[1])}
        self._renamed = _renamed(self.before, self.after)
        self._compared = {name: both for name, both in self.routes.items() if name not in self._renamed.values()}
        self._compared |= {old: (_plan(self.before, old), _plan(self.after, new)) for old, new in self._renamed.items()}
        self.changed = changed_types(self.before, self.after)
        starts = [plan for name in self.after.routes if (plan := _plan(self.after, name))]
        self._given_by_routes = {name: {key for plan in starts if plan.on == name for key in plan.case} for name in self.changed}
        self._followed: set[str] = set()
        self._looked: Sequence[str] = ()
        self._read: dict[tuple[int, str], tuple[Evidence, Evidence]] = {}
        self._besides: dict[str, Memory] = {}

    @property
    def types(self) -> frozenset[str]:
        """The types of messages that the edits may concern."""
        plans = [plan for both in self.routes.values() for plan in both if plan]
        waits = (step for plan in plans for step in plan.walk() if isinstance(step, WaitStep | GatherStep) and step.on_late)
        return frozenset({plan.on for plan in plans} | {step.type for step in waits if step.type} | self.changed)

    def take(self, page: Evidence, messages: Sequence[str]) -> None:
        """Plan some messages; ``page`` is their evidence."""
        self._read.clear()
        self._looked = messages
        runs: dict[str, list[Opening]] = {}
        for opening in page.openings:
            runs.setdefault(opening.message, []).append(opening)
        for identity in messages:
            self.counts["concerned"] += 1
            if identity in self._followed:  # it would have been another message: told with the one that sends it
                self.counts["changed"] += 1
                continue
            message = page.message(identity)
            try:
                outcome = "erased" if message is None else self._plan(message, runs.get(identity, []), page)
            except (ErasedError, Damaged):
                outcome = "erased"
            self.counts[outcome] += 1

    def _plan(self, message: Message, openings: Sequence[Opening], page: Evidence) -> str:
        if message.type in self.changed and (refused := self._refused(message)):
            self._add(message.id, refused)
            return "changed"
        outcome, known = "same", list(self._known_by(message)) if message.type in self.changed else []
        for change in known:
            outcome = "changed"
            if self._add(message.id, change):
                self._meet(message, remember(openings, page))
        for change in self._carried(message, page) if any(one.kind == "key changed" for one in known) else ():
            self._add(message.id, change)
        for pair in self._pairs(message, openings, page):
            kept = False
            for change in self._compare(pair, _Here(page)):
                kept |= self._add(message.id, change)
                outcome = "changed"
            if kept:
                self._meet(message, pair.memory)
        return outcome

    def _known_by(self, message: Message) -> Iterator[Change]:
        """What its edited type makes otherwise: the keys of its case that no route gives, and the key of one whose sender gave none."""
        old, new = (rules.types.get(message.type) for rules in (self.before, self.after))
        if old is None or new is None:
            return
        for name, was, now in changes(_keys_of(old, message), _keys_of(new, message), "keys"):
            key = name.partition(".")[2]
            if key not in self._given_by_routes[message.type]:
                yield Change("key changed", message.type, key, (name,), was, now, old=now is MISSING)
        for _, was, now in changes(_key_of(old, message), _key_of(new, message)) if message.key is None else ():
            yield Change("run key changed", message.type, "", ("key",), was, now, old=now is MISSING)

    def _carried(self, message: Message, page: Evidence) -> Iterator[Change]:
        """What a message whose edited type gives it other keys makes otherwise in the runs that it woke, or would wake."""
        woken = self._kept("carried", page, self.woken, lambda: self._looked)
        yield from self._waited(message.id, message, _Here(page), woken)
        late = [one for one in page.openings if one.message == message.id and _route_of(one) not in self._compared]
        yield from self._late(message.id, (message, message), True, _Here(page), page, late)
        yield from self._besides_in(message, message.id, _Here(page))

    def _pairs(self, message: Message, openings: Sequence[Opening], page: Evidence) -> Iterator[_Pair]:
        """What is to be compared of a message: the routes that it starts, and the runs that it opened because it came late."""
        for route, both in self._compared.items():
            before, after = (plan if plan and plan.on == message.type else None for plan in both)
            if before or after:
                yield _Pair(message, message, before, after, "", remember(_likest(openings, route), page))
        for late in openings:
            step, both = late.entry.partition(" ")[0], self._compared.get(_route_of(late), (None, None))
            before, after = (_taking_late(plan, step) for plan in both)
            if step and (before or after):
                lenders = sorted(openings, key=lambda one: one is not late)
                yield _Pair(message, message, before, after, late.entry, remember(lenders, page))

    def _compare(self, pair: _Pair, here: _Here) -> Iterator[Change]:
        """What becomes otherwise of a message, and of what it sends."""
        was, now, before, after, entry, memory, then = pair
        old = self._walker.way(before, was, entry, memory) if before else NOTHING
        new = self._walker.way(after, now, entry, then or memory, old) if after else NOTHING
        if before is None and after is not None:
            yield Change("run added", after.name, after.route)
        if after is None and before is not None:
            yield Change("run removed", before.name, before.route, old=True)
        if before and after and not entry:
            if before.route != after.route:
                yield Change("run renamed", after.name, f"{before.route} → {after.route}")
            types = [rules.types.get(pair.type) for rules, pair in ((self.before, was), (self.after, now))]
            yield from _keys((before, after), types, was, now)
        name = (after or before).name  # type: ignore[union-attr]
        yield from differences(old, new, lambda step: f"{name}/{step}")
        if before and after and old.taken.keys() != new.taken.keys() and here.depth < DEEPEST:
            yield from self._tardy(was, (before, after), old, new, here)
        if old.sends != new.sends and here.depth < DEEPEST:
            yield from self._follow(now, old, new, memory, here)

    def _beyond(self, pair: _Pair, here: _Here) -> Iterator[Change]:
        """As `_compare`, of other messages than the one at hand; who is named there is not to be shown either."""
        if made := list(self._compare(pair, here)):
            for message in (pair.was, pair.now):
                self._meet(message, pair.memory)
        yield from made

    def _follow(self, message: Message, old: Way, new: Way, memory: Memory, here: _Here) -> Iterator[Change]:
        """What the messages that would be sent otherwise make otherwise in the routes that they start."""
        pairs, left = paired(old.sends, new.sends)
        for position, sent in enumerate(new.sends):
            was: Send | None = pairs.get(position)
            if was is None or was.body != sent.body:
                yield from self._started(message._replace(time=new.moments.get(sent.path, message.time)), was, sent, memory, here)
        for was in () if new.cut else left:
            yield from self._started(message, was, None, memory, here)

    def _started(self, parent: Message, was: Send | None, now: Send | None, memory: Memory, here: _Here) -> Iterator[Change]:
        said = now or was
        assert said is not None
        identity = _sent_as(memory, was)
        near = self._near(here.page)
        base = (near.message(identity) if identity else None) or _not_in_log(parent, said)
        both = base._replace(body=was.body if was else None), base._replace(body=now.body if now else None)
        befores = {plan.route: plan for plan in self.before.plans_for(said.type, sent=True)} if was else {}
        formerly = {new: old for old, new in self._renamed.items()}
        afters = {formerly.get(plan.route, plan.route): plan for plan in self.after.plans_for(said.type, sent=True)} if now else {}
        openings = [one for one in near.openings if one.message == identity]
        for route in sorted({*befores, *afters}):
            lent = remember(_likest(openings, route), near)
            yield from self._beyond(_Pair(*both, befores.get(route), afters.get(route), "", lent), here.beyond(near))
        if identity:
            self._followed.add(identity)
            yield from self._waited(identity, both[1], here, self._awoken(here.page), sent=now is not None)
            yield from self._late(identity, both, now is not None, here, near, openings)
        if now is not None and (not identity or self._given(both[0]) != self._given(both[1])):
            yield from self._besides_in(both[1], identity, here)

    def _waited(self, identity: str, now: Message, here: _Here, near: Evidence, *, sent: bool = True) -> Iterator[Change]:
        """What a message that is otherwise, or not sent at all, makes otherwise in the runs that waited for it, under the edited rules."""
        keys = self._given(now) if sent else {}
        for opening in near.openings:
            journal = near.journal(opening.run)
            path = next((one.path for one in journal if one.kind == "matched" and one.data["arrival"] == identity), None)
            waits, plan = near.message(opening.message), self._edited(_route_of(opening))
            if path is None or waits is None or plan is None:
                continue
            try:
                memory = remember([opening], near)
            except ErasedError:
                continue
            if plan.on == waits.type or opening.entry:
                asked = memory.by_path[path].question
                name, value = parsed(asked) if asked else ("", "")
                wakes = sent and (not asked or keys.get(name) == value)
                then = instead(memory, path, now.body) if wakes else without(memory, path)
                yield from self._beyond(_Pair(waits, waits, plan, plan, opening.entry, memory, then), here.beyond(near))

    def _late(
        self, identity: str, both: tuple[Message, Message], sent: bool, here: _Here, near: Evidence, openings: Sequence[Opening]
    ) -> Iterator[Change]:  # fmt: skip
        """What a message that is otherwise, or not sent at all, makes otherwise in the runs that it opened because it came late."""
        for opening in (one for one in openings if one.entry):
            step, _, run = opening.entry.partition(" ")
            route = _route_of(opening)
            before, after = (_taking_late(plan, step) for plan in (_plan(self.before, route), self._edited(route)))
            wakes = sent and run in {wait.run for wait in self._waits_for(identity, both[1])}
            pair = _Pair(*both, before, after if wakes else None, opening.entry, remember([opening], near))
            yield from self._beyond(pair, here.beyond(near))

    def _tardy(self, message: Message, plans: tuple[Plan, Plan], old: Way, new: Way, here: _Here) -> Iterator[Change]:
        """Messages of the log that a run would take in time and not late any more, or the other way round: the runs that they open."""
        of_message = (one for one in here.page.openings if one.message == message.id and not one.entry)
        runs = [one.run for one in of_message if _route_of(one) == plans[0].route]
        if not runs:
            return
        sooner = [identity for identity in new.taken if identity not in {*old.taken, *new.told}]
        later = [identity for identity in old.taken if identity not in {*new.taken, *new.told}]
        near = self.evidence([*sooner, *later])
        for opening in near.openings:
            if opening.message in sooner and opening.entry.rpartition(" ")[2] in runs:
                late = _there(near, opening.message)
                pair = _Pair(late, late, plans[0], None, opening.entry, remember([opening], near))
                yield from self._beyond(pair, here.beyond(near))
        for identity in later:
            step = old.taken[identity].place.rpartition("/")[2]
            if step in new.closed:
                late = _there(near, identity)
                pair = _Pair(late, late, None, plans[1], f"{step} {runs[0]}", Memory({}, {}))
                yield from self._beyond(pair, here.beyond(near))

    def _besides_in(self, sent: Message, identity: str, here: _Here) -> Iterator[Change]:
        """What a message makes otherwise, under the edited rules, in runs that wait for it; ``identity``, in the log, did not wake them."""
        runs: dict[str, list[Waiting]] = {}
        for wait in self._waits_for(identity or sent.id, sent):
            runs.setdefault(wait.run, []).append(wait)
        if not runs:
            return
        near = self.evidence(sorted({waits[0].message for waits in runs.values()}))
        for opening in (one for one in near.openings if one.run in runs):
            journal, plan = near.journal(opening.run), self._edited(_route_of(opening))
            if plan is None or (identity and any(record.data.get("arrival") == identity for record in journal)):
                continue
            try:
                memory = self._besides.get(opening.run) or remember([opening], near)
            except ErasedError:
                continue
            yield from self._taken(sent, opening, plan, runs[opening.run], memory, here.beyond(near))

    def _taken(
        self, sent: Message, opening: Opening, plan: Plan, waits: Sequence[Waiting], memory: Memory, here: _Here
    ) -> Iterator[Change]:  # fmt: skip
        """What one run would do with a message that is sent besides; or the run that it would open, where it comes late."""
        began = here.page.message(opening.message)
        late = next((wait.path for wait in waits if wait.path.endswith(_CLOSED)), "")
        path = vacant(memory, ((wait.path, wait.state) for wait in waits if not wait.path.endswith(_CLOSED)), sent.time)
        step = late.removesuffix(_CLOSED).rpartition("/")[2]
        if path and began is not None:
            then = self._besides[opening.run] = arriving(memory, path, sent)
            if made := list(self._beyond(_Pair(began, began, plan, plan, opening.entry, memory, then), here)):
                self._meet(sent, memory)
            yield from made
        elif late and _taking_late(plan, step):
            yield from self._beyond(_Pair(sent, sent, None, plan, f"{step} {opening.run}", Memory({}, {})), here)

    def _waits_for(self, near: str, message: Message) -> Sequence[Waiting]:
        """The waits that a message fulfils, or comes too late for, in the case of another one, which the log has or not."""
        return self.waits(_known(near), message.type, self._given(message))

    def _edited(self, route: str) -> Plan | None:
        """What a route in force is under the edited rules, perhaps under another name."""
        return _plan(self.after, self._renamed.get(route, route))

    def _given(self, message: Message) -> Mapping[str, str]:
        """The keys of its case that a message carries under the edited rules; none where they cannot be told."""
        declared = self.after.types.get(message.type)
        plans = self.after.plans_for(message.type, sent=True)
        try:
            return case_keys(at_the_door(message), *((declared,) if declared else ()), *plans)
        except ExpressionError:
            return {}

    def _near(self, page: Evidence) -> Evidence:
        """The evidence of all messages that the runs of a page sent."""
        return self._once("sent", page, self.evidence)

    def _awoken(self, page: Evidence) -> Evidence:
        """The evidence of all messages whose runs were woken by what the runs of a page sent."""
        return self._once("woken", page, self.woken)

    def _once(self, what: str, page: Evidence, ask: Callable[[Sequence[str]], Evidence]) -> Evidence:
        journals = page.journals.values()
        return self._kept(
            what, page, ask, lambda: [str(record.data["sent"]) for each in journals for record in each if "sent" in record.data]
        )

    def _kept(
        self, what: str, page: Evidence, ask: Callable[[Sequence[str]], Evidence], of: Callable[[], Sequence[str]]
    ) -> Evidence:  # fmt: skip
        """Read once: the page is kept with it, so that its identity stays its own."""
        key = id(page), what
        if key not in self._read:
            self._read[key] = page, ask(of())
        return self._read[key][1]

    def _meet(self, message: Message, memory: Memory) -> None:
        """Remember who is named in a message and in what systems said of it."""
        heard = (said.event for several in memory.others.values() for _, said in several)
        for value in (message.body, *(_value_of(event) for event in heard)):
            self.people.update(named(value))

    def _refused(self, message: Message) -> Change | None:
        """That a message would not be taken under the edited rules, and for which of the fields that its type declares."""
        type, declaring = message.type, self.after.types.get(message.type)
        if declaring is None:
            return Change("refused", type, type, (), MISSING, _NO_TYPE.format(type), old=True)
        origin = self.origins.get(message.sender)
        if origin and not declaring.takes_from(origin) and self.before.types[type].takes_from(origin):
            return Change("refused", type, type, ("senders",), MISSING, f"not taken from {origin}")
        faults = self.after.validate(type, message.body)
        if not faults:
            return None
        return Change("refused", type, type, (declared(declaring.schema, faults[0].pointer),), MISSING, _said(faults[0]))

    def _fault(self, plan: Plan, type: str, body: JsonValue) -> str:
        """What is wrong with a body that a plan sends, under the types of its own rules."""
        rules = self.before if plan is _plan(self.before, plan.route) else self.after
        faults = rules.validate(type, body) if type in rules.types else None
        return _NO_TYPE.format(type) if faults is None else _said(faults[0]) if faults else ""

    def _add(self, message: str, change: Change) -> bool:
        """Count a change; whether it is kept as an example."""
        key = (change.kind, change.place, change.subject, change.fields, change.old)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(change.kind, change.place, change.subject, change.fields, change.old)
        group.count += 1
        group.messages.add(message)
        kept = len(group.examples) < self.most
        if kept:
            group.examples.append((message, change.before, change.after))
        return kept


def _said(fault: Fault) -> str:
    return f"{fault.pointer or 'body'}: {fault.sentence}"


def _known(message: str) -> str:
    """The message of the log behind one that it may not have: both are of one case."""
    return message.removeprefix(_PLANNED).partition(" ")[0]


def _keys(plans: tuple[Plan, Plan], types: Sequence[MessageType | None], was: Message, now: Message) -> Iterator[Change]:
    """The keys that the message itself gives its case, and the one by which it is known again. What its type still gives is not gone."""
    before, after = plans
    heads = [plan.rules["route"] for plan in plans]
    if was is not now or heads[0].get("case") != heads[1].get("case"):  # type: ignore[union-attr]
        own = {f"keys.{name}" for plan in plans for name in plan.case}
        keys = _keys_of(before, was, types[0]), _keys_of(after, now, types[1])
        for name, old, new in (one for one in changes(*keys, "keys") if one[0] in own):
            plan = before if new is MISSING else after
            yield Change("key changed", plan.name, name.partition(".")[2], (name,), old, new, old=new is MISSING)
    if was is now and heads[0].get("key") != heads[1].get("key"):  # type: ignore[union-attr]
        for _, old, new in changes(_key_of(before, was), _key_of(after, now)):
            yield Change("run key changed", (before if new is MISSING else after).name, "", ("key",), old, new, old=new is MISSING)


def _keys_of(plan: Plan | MessageType, message: Message, type: MessageType | None = None) -> dict[str, JsonValue]:
    """Where they cannot be told the way says so: the door would refuse the message. ``type`` gives some besides the plan."""
    try:
        return {**case_keys(at_the_door(message), *((type,) if type else ()), plan)}
    except ExpressionError:
        return {}


def _key_of(plan: Plan | MessageType, message: Message) -> JsonValue:
    try:
        return MISSING if plan.key is None else plan.key(at_the_door(message))
    except ExpressionError as error:
        return f"cannot be told: {error.sentence}"


def _sent_as(memory: Memory, sent: Send | None) -> str:
    """The id under which the log has a message that the rules in force send; empty where it has none."""
    said = memory.by_path.get(sent.path) if sent else None
    event = said.event if said else None
    return str(event.value.get("id", "")) if isinstance(event, Noted) and isinstance(event.value, dict) else ""


def _not_in_log(parent: Message, sent: Send) -> Message:
    return parent._replace(id=f"{_PLANNED}{parent.id.removeprefix(_PLANNED)} {sent.path}", type=sent.type)


def _there(near: Evidence, identity: str) -> Message:
    """A message of the log; raises `ErasedError` where nobody can read it any more."""
    found = near.message(identity)
    if found is None:
        raise ErasedError
    return found


def _value_of(event: object) -> JsonValue:
    if isinstance(event, Answered):
        return event.answer
    return event.body if isinstance(event, Arrived) else None


def _plan(catalog: Catalog, route: str) -> Plan | None:
    found = catalog.routes.get(route)
    return found.plan if found else None


def _renamed(before: Catalog, after: Catalog) -> dict[str, str]:
    """Routes that are gone, each with the new one that is meant to do what it did: the only ones of their type."""
    gone, new = ([one for name, one in a.routes.items() if name not in b.routes] for a, b in ((before, after), (after, before)))
    found: dict[str, str] = {}
    for old in gone:
        alike = [[one.plan.route for one in several if one.plan.on == old.plan.on] for several in (gone, new)]
        found |= {old.plan.route: alike[1][0]} if list(map(len, alike)) == [1, 1] else {}
    return found


def _digest(plan: Plan | None) -> str:
    return plan.digest if plan else ""


def _route_of(opening: Opening) -> str:
    return opening.name.rpartition("@")[0]


def _likest(openings: Sequence[Opening], route: str) -> list[Opening]:
    """The runs that lend answers to one of a route, the likest first."""
    return sorted(openings, key=lambda one: (one.entry != "", _route_of(one) != route))


def _taking_late(plan: Plan | None, step: str) -> Plan | None:
    """The plan, if that step of it takes messages that come late."""
    late = any(one.id == step and isinstance(one, WaitStep | GatherStep) and one.on_late for one in plan.walk()) if plan else False
    return plan if late else None
