"""Routes compiled: from a parsed document to the `Plan` that the engine runs, and from a plan's stored rules to the plan again.

A plan's rules are JSON: the route without its tests, the mappings it applies, the tables that any of these look into (with their
order, where all rows are read). Comments, blanks, key order and the file's name are not in it, so
they do not change the digest; runs finish under the rules they started with because `plan_of` needs nothing else. What has one digest
MUST do the same in the same order: whatever stands under keys (branches, names, fields) is gone through by key, not as the file has it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, cast

from bus import calendar
from bus.errors import RulesError
from bus.expression import Environment, Table, Tables, name_problem
from bus.mapping.compile import CompiledMapping, check_lookups, compile_mapping
from bus.mapping.tables import shared
from bus.mapping.template import Used, Workshop, asked_in, part_of
from bus.mapping.types import BUILT_IN
from bus.message import JsonObject, JsonValue, canonical, digest
from bus.route import plan as p
from bus.route.parse import Parsed, ParsedRoute, parse_route
from bus.source import Notes, Pointer, Reporter

FORMAT = 1
"""Version of the rules' JSON form; goes up when old rules would mean something else."""


@dataclass(frozen=True)
class CompiledRoute:
    """A route with everything the checker wants to know; ``sound`` when no finding is an error."""

    parsed: ParsedRoute
    sound: bool
    used: dict[Pointer, list[Used]]
    mappings: Mapping[str, CompiledMapping]
    _planned: Callable[[], p.Plan]
    unasked: frozenset[str] = frozenset()
    """What conditions that do not compile may have asked about."""
    spoilt: frozenset[Pointer] = frozenset()
    """Where those conditions stand."""

    @cached_property
    def plan(self) -> p.Plan | None:
        """What the engine runs, made when it is asked for: who only checks needs none. None of a route that is not sound."""
        return self._planned() if self.sound else None

    @cached_property
    def every(self) -> list[Used]:
        """All its expressions."""
        return [one for several in self.used.values() for one in several]

    @cached_property
    def by_pointer(self) -> dict[Pointer, Used]:
        """Its expressions by the places where they stand."""
        return {one.pointer: one for one in self.every}

    @cached_property
    def reads(self) -> frozenset[str]:
        """The names that its expressions, and the mappings that it applies, read."""
        applied = (name for mapping in self.mappings.values() for name in mapping.document.uses)
        return frozenset(applied).union(*(one.expression.names for one in self.every))

    @cached_property
    def unread(self) -> frozenset[str]:
        """The names that its steps give and nothing reads."""
        given = (name for step in self.parsed.every for name, _ in step.gives)
        return frozenset(given) - self.reads

    @cached_property
    def asked(self) -> frozenset[tuple[str, ...]]:
        """The paths that it asks about."""
        return asked_in(self.every)

    @cached_property
    def looked_at(self) -> frozenset[tuple[str, ...]]:
        """The paths that it asks about, and those of `match`, under the name of what its wait takes."""
        waits = [step for step in self.parsed.every if step.kind == "wait" and step.model.as_]
        used = ((step.model.as_, one) for step in waits for one in self.used.get(step.pointer, ()) if part_of(one.pointer) == "match")
        read = ((name, reference.path) for name, one in used for reference in one.reads.references)
        return self.asked.union((name, *path[1:]) for name, path in read if path[0] == "arrival")


def compile_route(
    parsed: ParsedRoute,
    mappings: Mapping[str, CompiledMapping],
    tables: Mapping[str, Table],
    report: Reporter,
    fields: Collection[str] = (),
) -> CompiledRoute:
    """Compile a parsed route; what is wrong with its expressions and names goes to ``report``. ``fields`` are those of its message."""
    builder = _Builder(parsed, mappings, report, Environment(BUILT_IN | parsed.names, tables, fields))
    model, shop = parsed.model, builder.shop
    steps = builder.steps(parsed.steps)
    shop.offered = BUILT_IN - {"case"}
    key = builder.expression(model.key, ("key",)) if model.key is not None else None
    case = builder.expressions(model.case, ("case",))
    for used in shop.used:
        check_lookups(used, tables, shop)

    def planned() -> p.Plan:
        rules = _rules(parsed, shop.used, builder.applied, tables)
        return p.Plan(
            route=model.route, version=model.version, digest=digest(rules), on=model.on, steps=steps, rules=rules, owner=model.owner,
            purpose=model.purpose, key=key, case=case, operations=frozenset(builder.operations), ordered=model.order == "case",
        )  # fmt: skip

    sound, unasked, spoilt = parsed.complete and not shop.failed, frozenset(shop.unasked), frozenset(shop.spoilt)
    return CompiledRoute(parsed, sound, _by_step(shop.used, parsed), builder.applied, planned, unasked, spoilt)


def _rules(parsed: ParsedRoute, used: Sequence[Used], mappings: Mapping[str, CompiledMapping], tables: Mapping[str, Table]) -> JsonObject:
    """What a plan is made of: the route, the ``mappings`` that it applies, the tables that any of them looks into."""
    every = [*used, *(one for mapping in mappings.values() for one in mapping.used)]
    looked = [(lookup.table, lookup.rows) for one in every for lookup in one.reads.lookups if lookup.table]
    rules: JsonObject = {
        "format": FORMAT,
        "route": {name: value for name, value in parsed.document.items() if name not in ("tests", "given")},
        "mappings": {name: mapping.rules for name, mapping in mappings.items()},
        "tables": {name: cast("JsonValue", tables[name]) for name, _ in looked},
    }
    orders = {name: list[JsonValue](tables[name]) for name, rows in looked if rows and [*tables[name]] != sorted(tables[name])}
    if orders:  # canonical JSON sorts keys; not always there, so that other rules keep their digest
        rules["orders"] = dict[str, JsonValue](orders)
    return rules


def _by_step(used: list[Used], parsed: ParsedRoute) -> dict[Pointer, list[Used]]:
    """Expressions by the step they belong to (() for the head); a step's nested steps are steps of their own."""
    owners = {step.pointer for step in parsed.every}
    found: dict[Pointer, list[Used]] = {}
    for one in used:
        pointer = one.pointer
        while pointer and pointer not in owners:
            pointer = pointer[:-1]
        found.setdefault(pointer, []).append(one)
    return found


def plan_of(rules: JsonObject) -> p.Plan:
    """The plan that stored rules say. Raises `RulesError` when this version cannot run them."""
    text = canonical(rules)
    kept = _kept(hashlib.sha256(text).hexdigest())
    if not kept:  # of two threads that find none, each builds it
        kept[:] = [built_of(json.loads(text))]
    return kept[0]


@lru_cache(maxsize=512)
def _kept(digest: str) -> list[p.Plan]:
    """Where a plan is kept by its digest: the text of one may hold a table of 1 MB."""
    return []


def tables_of(rules: Any) -> Tables:
    """The tables of stored rules, with their rows in order."""
    ordered = {name: {key: rules["tables"][name][key] for key in keys} for name, keys in rules.get("orders", {}).items()}
    return Tables({name: shared(rows) for name, rows in {**rules["tables"], **ordered}.items()})


def built_of(rules: Any, tables: Tables | None = None) -> p.Plan:
    """The plan that `plan_of` gives, but not kept: for rules that are tried once.

    ``tables`` are those of the rules: who tries many that differ elsewhere shares them, and with them the expressions compiled before.
    """
    notes = Notes("rules")
    if rules.get("format") != FORMAT:
        raise RulesError(f"these rules have format {rules.get('format')}, this version runs format {FORMAT}", code="rules.format")
    tables = tables_of(rules) if tables is None else tables
    mappings = {name: compile_mapping(document, tables, notes) for name, document in rules["mappings"].items()}
    parsed = parse_route(rules["route"], notes)
    good = {name: mapping for name, mapping in mappings.items() if mapping is not None}
    compiled = compile_route(parsed, good, tables, notes) if parsed else None
    if compiled is None or compiled.plan is None:
        raise RulesError("the stored rules do not compile any more", notes.findings, code="rules.invalid")
    return compiled.plan


class _Builder:
    """Builds the plan's steps. ``applied`` are the mappings used, ``operations`` the operations asked."""

    def __init__(self, parsed: ParsedRoute, mappings: Mapping[str, CompiledMapping], report: Reporter, environment: Environment) -> None:
        self.name = f"{parsed.model.route}@{parsed.model.version}"
        self.mappings = mappings
        given = (name for step in parsed.every for name, _ in step.gives)
        self.shop = Workshop(environment, report, misnamed=frozenset(name for name in given if name_problem(name)))
        self.shop.offered = self.always = BUILT_IN | parsed.lost
        self.applied: dict[str, CompiledMapping] = {}
        self.operations: set[str] = set()

    def steps(self, parsed: list[Parsed], sees: frozenset[str] | None = None) -> tuple[p.Step, ...]:
        """Steps one after the other; ``sees``: the names that the first of them knows, if not those of the place where it is."""
        before = self.shop.offered
        self.shop.offered = before if sees is None else sees
        built = []
        for one in parsed:
            known = self.shop.offered
            built.append(self.step(one))
            self.shop.offered = known | _left_by(one)
        self.shop.offered = before
        return tuple(built)

    def step(self, parsed: Parsed) -> p.Step:
        when = parsed.model.when
        base = {
            "id": parsed.model.id,
            "place": f"{self.name}/{parsed.model.id}",
            "when": self.expression(when, (*parsed.pointer, "when")) if when is not None else None,
        }
        built: p.Step = _BUILD[parsed.kind](self, parsed, base)
        return built

    def expression(self, text: Any, pointer: Pointer) -> Any:
        if isinstance(text, int):  # a literal number where an expression may stand
            return lambda scope: text
        return self.shop.expression(text, pointer)

    def perhaps(self, parsed: Parsed, part: str) -> Any:
        """The expression of a part of a step; None where the step does not say it."""
        text = getattr(parsed.model, part)
        return None if text is None else self.expression(text, (*parsed.pointer, part))

    def expressions(self, texts: Mapping[str, str], pointer: Pointer) -> dict[str, Any]:
        return {name: self.expression(text, (*pointer, name)) for name, text in sorted(texts.items())}

    def body(self, parsed: Parsed) -> Any:
        """The template of a request or message: by ``mapping`` or ``with``; neither is an empty object."""
        model = parsed.model
        if model.mapping is not None:
            if model.with_ is not None:
                self.shop.refuse((*parsed.pointer, "mapping"), "step.two-bodies", "`with` and `mapping` exclude each other", key=True)
            return self.mapping(model.mapping)
        return self.shop.template({} if model.with_ is None else model.with_, (*parsed.pointer, "with"))

    def mapping(self, name: str) -> Any:
        found = self.mappings.get(name)
        if found is None:
            self.shop.failed = True  # the checker says it, with a suggestion
            return None
        self.applied[name] = found
        return found

    def clauses(self, parsed: Parsed, where: str) -> tuple[p.Clause, ...]:
        return tuple(
            p.Clause(
                None if clause.when is None else self.expression(clause.when, (*parsed.pointer, where, position, "when")),
                self.steps(parsed.block(where, position, "steps")),
            )
            for position, clause in enumerate(getattr(parsed.model, where))
        )


def _left_by(step: Parsed) -> frozenset[str]:
    """The names that a step may have given when it is over: those within an ``each`` or an ``on_late`` are seen there alone."""
    inner = (one for where, block in step.blocks.items() if where[0] != "on_late" for one in block) if step.kind != "each" else ()
    return frozenset(name for name, _ in step.gives).union(*map(_left_by, inner))


def _call(builder: _Builder, parsed: Parsed, base: dict[str, Any]) -> p.Step:
    model = parsed.model
    builder.operations.update({model.call} | ({model.undo} if model.undo else set()))
    return p.CallStep(
        **base, operation=model.call, request=builder.body(parsed), as_=model.as_,
        case=builder.expressions(model.case, (*parsed.pointer, "case")),
        timeout=calendar.seconds_of(model.timeout) if model.timeout else None,
        retry=_retry(model.retry), on_error=builder.clauses(parsed, "on_error"), undo=model.undo,
        limit=p.Throttle(model.limit.count, calendar.seconds_of(model.limit.per)) if model.limit else None,
    )  # fmt: skip


def _retry(model: Any) -> p.Retry:
    if model is None:
        return p.Retry()
    return p.Retry(model.attempts, calendar.seconds_of(model.wait), float(model.factor), calendar.seconds_of(model.most))


def _map(builder: _Builder, parsed: Parsed, base: dict[str, Any]) -> p.Step:
    return p.MapStep(**base, value=builder.mapping(parsed.model.map), as_=parsed.model.as_)


def _set(builder: _Builder, parsed: Parsed, base: dict[str, Any]) -> p.Step:
    values = {name: builder.shop.template(value, (*parsed.pointer, "set", name)) for name, value in sorted(parsed.model.set.items())}
    return p.SetStep(**base, values=values)


def _send(builder: _Builder, parsed: Parsed, base: dict[str, Any]) -> p.Step:
    return p.SendStep(**base, type=parsed.model.send, body=builder.body(parsed), as_=parsed.model.as_)


def _reply(builder: _Builder, parsed: Parsed, base: dict[str, Any]) -> p.Step:
    return p.ReplyStep(**base, body=builder.shop.template(parsed.model.reply, (*parsed.pointer, "reply")))


def _wait(builder: _Builder, parsed: Parsed, base: dict[str, Any]) -> p.Step:
    match = builder.perhaps(parsed, "match")
    return p.WaitStep(**base, match=match, again=parsed.model.again, **_awaiting(builder, parsed))


def _gather(builder: _Builder, parsed: Parsed, base: dict[str, Any]) -> p.Step:
    count, until = builder.perhaps(parsed, "count"), builder.perhaps(parsed, "until")
    return p.GatherStep(**base, count=count, until=until, **_awaiting(builder, parsed))


def _awaiting(builder: _Builder, parsed: Parsed) -> dict[str, Any]:
    """What `wait` and `gather` have in common."""
    model = parsed.model
    return {
        "type": parsed.what, "case": model.case, "as_": model.as_,
        "deadline": calendar.moment_after(model.deadline) if model.deadline is not None else None, "by": builder.perhaps(parsed, "by"),
        "on_deadline": builder.steps(parsed.block("on_deadline")), "on_late": builder.steps(parsed.block("on_late"), builder.always),
    }  # fmt: skip


def _choose(builder: _Builder, parsed: Parsed, base: dict[str, Any]) -> p.Step:
    return p.ChooseStep(**base, clauses=builder.clauses(parsed, "choose"), otherwise=builder.steps(parsed.block("otherwise")))


def _each(builder: _Builder, parsed: Parsed, base: dict[str, Any]) -> p.Step:
    model, block = parsed.model, parsed.block("steps")
    items = builder.expression(model.each, (*parsed.pointer, "each"))
    inside = builder.shop.offered | {model.item}
    steps = builder.steps(block, inside)
    builder.shop.offered = inside.union(*map(_left_by, block))
    collect = builder.shop.template(model.collect, (*parsed.pointer, "collect")) if model.collect is not None else None
    return p.EachStep(**base, items=items, item=model.item, steps=steps, collect=collect, as_=model.as_)


def _parallel(builder: _Builder, parsed: Parsed, base: dict[str, Any]) -> p.Step:
    branches = {name: builder.steps(parsed.block("parallel", name)) for name in parsed.model.parallel}
    return p.ParallelStep(**base, branches=branches)


def _fail(builder: _Builder, parsed: Parsed, base: dict[str, Any]) -> p.Step:
    model = parsed.model
    reason = {} if model.reason is None else {"reason": builder.expression(model.reason, (*parsed.pointer, "reason"))}
    return p.FailStep(**base, code=model.fail, undo=model.undo, dead=model.dead, **reason)


_BUILD: dict[str, Any] = {
    "call": _call, "map": _map, "set": _set, "send": _send, "reply": _reply, "wait": _wait, "gather": _gather, "choose": _choose,
    "each": _each, "parallel": _parallel, "fail": _fail,
}  # fmt: skip
