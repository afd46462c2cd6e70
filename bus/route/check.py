"""The checker: what is wrong or doubtful in a route that compiles, seen against operations, types and the flow of names.

It walks the steps in the order they run and knows, at each of them, which names are surely there, which only on some ways,
and what is declared of their shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from bus.adapter import Operation
from bus.calendar import seconds_of
from bus.expression import name_problem
from bus.mapping.compile import CompiledMapping, place_of
from bus.mapping.template import Used, asked_in
from bus.mapping.types import BUILT_IN, MessageType
from bus.route.compile import CompiledRoute
from bus.route.doubts import Doubts
from bus.route.given import Given
from bus.route.keys import check_key
from bus.route.known import SCALARS, Known, Schema, Scope, definitions, merged, unsaid, without
from bus.route.nulls import Nulls
from bus.route.order import Order
from bus.route.outline import surely_sending
from bus.route.parse import Parsed, ParsedRoute, leaking, walk, written_as_name
from bus.route.paths import Paths, given_here, read_keys
from bus.route.persons import check_keys
from bus.route.target import Target, answer_of, shape_of
from bus.route.traffic import check_awaited, check_endless, check_in_line, check_in_turn, check_sent, check_shared
from bus.route.values import Values, written
from bus.route.waiting import check_gather, check_wait, ends
from bus.route.ways import check_choices, check_condition, check_failures, clauses_of, reached
from bus.route.world import NO_CASE, World, doubts_in, target_schema
from bus.source import Pointer, Reporter, nearest, suggestion

_MISSED = "there is no `{}` here"
"""Also what is said of a name by which an expression does not compile."""


def check_route(compiled: CompiledRoute, world: World, report: Reporter, applied: Callable[[str], Reporter]) -> None:
    """A whole route; findings go to ``report``, those in mappings that it applies to what ``applied`` gives for their names."""
    _Checker(compiled, world, report, applied).run()


class _Checker:
    def __init__(self, compiled: CompiledRoute, world: World, report: Reporter, applied: Callable[[str], Reporter]) -> None:
        self.compiled, self.world, self.report, self.applied = compiled, world, report, applied
        self.model = compiled.parsed.model
        self.wrong = set(compiled.spoilt)  # and the conditions that are found to be wrong
        self.doubts = Doubts(set(compiled.unasked), self.wrong)
        self.endings: dict[str, frozenset[int]] = {}
        put = {name for step in compiled.parsed.every if step.kind == "set" for name, _ in step.gives}
        names = (name for name in compiled.unread if not name_problem(name))
        unread = {name: nearest(name, compiled.reads if name in put else compiled.reads & put, 0.74) for name in names}
        self.misspelt = {name: near for name, near in unread.items() if near is not None}
        self.undefined: set[str] = set()
        self.ungiven: set[str] = set()  # those of them that were told of a mapping
        self.forgotten: set[Pointer] = set()
        self.ended: set[Pointer] = set()  # conditions under which the run has ended
        self.several: dict[str, str] = {}  # keys of the case with a value for each item, and the `each` that learns them
        self.gathers = any(step.kind == "gather" for step in compiled.parsed.every)
        self.body: MessageType | None = None  # of what type the message is: another one in `on_late`
        self.given = Given(compiled.by_pointer, self.wrong)
        self.nulls = Nulls(compiled)
        self.later = {name: (step.model.id, place) for step in compiled.parsed.every for name, place in step.gives}

    def run(self) -> None:
        self.body = started_by = self._type(self.model.on, ("on",))
        self._key_names(self.model.case, ("case",))
        parsed = self.compiled.parsed
        built_in = self.world.built_in(self.world.body(started_by))
        scope = Scope({**built_in, **dict.fromkeys(parsed.lost, Known())}, frozenset(self.model.case) | parsed.lost_keys)
        self._uses((), replace(scope, names={name: known for name, known in scope.names.items() if name != "case"}))
        self._block(parsed.steps, scope)
        used = self.compiled.used.items()
        check_keys((key for place, several in used for key in several if key.pointer[len(place)] == "case"), self.report)
        order = Order(self.world.operations, self.compiled.used, self.world.mappings, self.endings, self.world.ends, self.report)
        order.check(parsed.steps)
        self.doubts.tell()
        self._unread(parsed)
        self._always_null()

    def _unread(self, parsed: ParsedRoute) -> None:
        """Names that a step gives and nothing reads, where something reads a name like it; not where that one was told to be missing."""
        for step in parsed.every if parsed.complete else ():
            for name, pointer in step.gives:
                near = self.misspelt.get(name)
                if near is not None and near not in self.undefined:
                    hint = f"did you mean {near}?"
                    self.report.report(pointer, "name.unused", f"nothing reads `{name}`", hint, "warning", key=step.kind == "set")

    def _always_null(self) -> None:
        """Names that are null wherever something asks about them; not where the step that was to give one misspells it."""
        for name, used in self.nulls.always():
            if name not in self.misspelt.values():
                hint = f"write `as: {name}` at the step whose answer it is to be, or leave it out"
                sentence = f"`{name}` is null on every way: no step gives it another value"
                self.report.report(used.pointer, "name.maybe-null", sentence, hint, "warning", within=place_of(used, (name,)))

    # --- the flow ----------------------------------------------------------------------------------------------------

    def _block(self, steps: list[Parsed], scope: Scope | None) -> Scope | None:
        check_in_line(steps, self.report)
        for step in steps:
            if scope is None:
                self.report.report(step.pointer, "step.unreachable", f"step `{step.model.id}` can never run", "", "warning")
                break
            scope = self._step(step, scope)
        return scope

    def _step(self, step: Parsed, scope: Scope) -> Scope | None:
        for name, pointer in step.gives:
            self._definable(name, pointer)
        after: Scope | None = getattr(self, f"_{step.kind}")(step, scope)
        if after is None and step.unclear:  # perhaps it says when
            return scope
        if step.model.when is None:
            return after
        self.ended |= {(*step.pointer, "when")} if after is None else set()
        self.given.note(step.pointer, scope, after)
        self.given.note_beside(step, [scope, after], self.compiled.parsed.every)
        return self.nulls.settled(scope, merged([scope, after]), [after], [(*step.pointer, "when")])

    def _call(self, step: Parsed, scope: Scope) -> Scope | None:
        model = step.model
        sent = bool(step.written) and model.call in self.world.types  # so it is written, and what is wrong with that is told
        operation = None if sent else self._operation(model.call, (*step.pointer, "call"))
        self._uses(step.pointer, scope, without=("case", "on_error"))
        self._target(step, scope, model.call, shape_of(operation.request) if operation else None)
        if operation is not None:
            self._promises(step, operation)
        answer = {model.as_: self.world.known(answer_of(operation.answer) if operation else None)} if model.as_ else {}
        self._key_names(model.case, (*step.pointer, "case"))
        for name in model.case:
            self.several.pop(name, None)
        answered = scope.having(answer, model.case)
        self._uses(step.pointer, answered, only=("case",))
        failing = scope.having({"error": self.world.error(operation)})
        self._uses(step.pointer, failing, only=("on_error",))
        ways: list[Scope | None] = [answered]
        ending: set[int] = set()
        for position in reached(step, "on_error", self.report):
            ended = self._block(step.block("on_error", position, "steps"), failing)
            ending |= {position} if ended is None else set()
            ways.append(without(self._nulled(step, position, ended), scope, "error"))
        self.endings[model.id] = frozenset(ending)
        if operation is not None:
            clauses = clauses_of(step, "on_error", self.compiled.used)
            check_failures(step, clauses, operation, self.world.ends.of(operation, clauses), self.wrong, self.report)
        return merged(ways)

    def _nulled(self, step: Parsed, position: int, ended: Scope | None) -> Scope | None:
        """What is known after a clause of `on_error`. If it sets one name alone, to null, later steps can tell by it that it was taken."""
        given = {name for name, _ in leaking(step.block("on_error", position, "steps"))}
        if ended is None or len(given) != 1 or ended.names[name := given.pop()].schema.get("type") != "null":
            return ended
        return ended.having({name: replace(ended.names[name], null=f"where `{step.model.id}` fails")})

    def _map(self, step: Parsed, scope: Scope) -> Scope:
        self._uses(step.pointer, scope)
        mapping = self._mapping(step, step.model.map, "map", scope)
        schema = target_schema(mapping.document.to, self.world) if mapping else None
        known = self.world.known(schema)
        if mapping and schema:
            known = replace(known, schema={**written(mapping.document.fields, schema, schema), **definitions(schema)})
        return scope.having({step.model.as_: known})

    def _set(self, step: Parsed, scope: Scope) -> Scope:
        self._uses(step.pointer, scope)
        values = self._values(scope)
        return scope.having({name: values.made(value, (*step.pointer, "set", name)) for name, value in step.model.set.items()})

    def _send(self, step: Parsed, scope: Scope) -> Scope:
        self._uses(step.pointer, scope)
        sent = self._type(step.model.send, (*step.pointer, "send"))
        asked = self.world.operations.get(step.model.send) if sent is None else None  # told: what was meant is a call
        self._target(step, scope, step.model.send, self.world.body(sent) if sent else shape_of(asked.request) if asked else None)
        if sent is not None:
            check_sent(step, sent, self.world.traffic, self.report)
        if self.world.traffic is not None and any(one is step for one in surely_sending(self.compiled.parsed)):
            check_endless(step, self.compiled.parsed.model.on, self.world.traffic, self.report)
        given = self.world.known(answer_of(asked.answer)) if asked else Known(schema=_SENT)
        return scope.having({step.model.as_: given} if step.model.as_ else {})

    def _reply(self, step: Parsed, scope: Scope) -> Scope:
        self._uses(step.pointer, scope)
        if self.body is not None and self.body.reply.below and isinstance(step.model.reply, dict):
            self._shown(step.model.reply, (*step.pointer, "reply"), self.body)
        return scope

    def _shown(self, reply: Mapping[str, Any], pointer: Pointer, answered: MessageType) -> None:
        """Fields of a reply whose names are nearly ones that the type has under `reply`, where it says who may see them."""
        for name in reply.keys() - answered.reply.below.keys():
            if (near := nearest(name, answered.reply.below)) is not None:
                hint = f"did you mean {near}? Else name it under `reply` of the type"
                sentence = f"`{answered.name}` says nothing under `reply` of a field `{name}`"
                self.report.report((*pointer, name), "reply.undeclared", sentence, hint, "warning", key=True)

    def _wait(self, step: Parsed, scope: Scope) -> Scope | None:
        model = step.model
        awaited = self._type(model.wait, (*step.pointer, "wait")) if model.wait is not None else None
        arrived = self.world.known(self.world.body(awaited))
        self._uses(step.pointer, scope, without=("match",))
        self._uses(step.pointer, scope.having({"arrival": arrived}), only=("match",))
        check_wait(step, self.report)
        if model.wait is not None:
            self._key(step, scope, awaited)
        given = (arrived, replace(arrived, null="after the deadline"))
        after, late = (scope.having({model.as_: one} if model.as_ else {}) for one in given)
        return self._deadline(step, scope, after, late)

    def _gather(self, step: Parsed, scope: Scope) -> Scope | None:
        model = step.model
        gathered = self._type(model.gather, (*step.pointer, "gather"))
        items = self.world.several(gathered)
        self._uses(step.pointer, scope, without=("until",))
        self._uses(step.pointer, scope.having({"items": items}), only=("until",))
        check_gather(step, self.report)
        self._key(step, scope, gathered)
        after = scope.having({model.as_: items})
        return self._deadline(step, scope.having({"items": items}), after, after)

    def _deadline(self, step: Parsed, scope: Scope, after: Scope, late: Scope) -> Scope | None:
        """What is known after a wait, in time or after the deadline's steps. ``late``: what is known where nothing came."""
        if step.block("on_late"):
            self._comes_late(step)
        expired = step.block("on_deadline")
        if not expired:
            return late if ends(step) else after
        ended = self._block(expired, unsaid(scope, (name for name, _ in leaking(expired))))
        if ended is None:
            return after
        known = after if any(leaking(expired)) else late  # by a name of their own they may tell that nothing came
        named = {name: known.names[name] for name, _ in step.gives}
        return merged([after, without(ended.having(named), after, "items")])

    def _comes_late(self, step: Parsed) -> None:
        """A late message opens a run of its own: it is the ``body`` there, and nothing of the first run is seen."""
        first, self.body = self.body, self.world.types.get(step.what)
        self._block(step.block("on_late"), Scope(self.world.built_in(self.world.body(self.body)), frozenset()))
        self.body = first

    def _choose(self, step: Parsed, scope: Scope) -> Scope | None:
        self._uses(step.pointer, scope)
        complete = check_choices(step, clauses_of(step, "choose", self.compiled.used), scope.names, self.wrong, self.report)
        ways: list[Scope | None] = []
        for position in reached(step, "choose", self.report):
            ways.append(self._block(step.block("choose", position, "steps"), scope))
            self.given.note((*step.pointer, "choose", position), scope, ways[-1])
            self.ended |= set() if any(ways) else {(*step.pointer, "choose", position, "when")}
        other = self._block(step.block("otherwise"), scope)
        ways += [] if complete else [other]
        self.given.note_beside(step, ways, self.compiled.parsed.every)
        asked = [(*step.pointer, "choose", number, "when") for number in range(len(step.model.choose))]
        return self.nulls.settled(scope, merged(ways), ways, asked)

    def _each(self, step: Parsed, scope: Scope) -> Scope:
        model = step.model
        self._uses(step.pointer, scope, without=("collect",))
        self._definable(model.item, (*step.pointer, "item"))
        check_in_turn(step, self.report)
        item = self._item(step, scope)
        index = replace(self.world.known(SCALARS["integer"]), schema={"type": "integer", "minimum": 0})
        inside = scope.having({model.item: item, "index": index})
        if model.as_ is not None and model.collect is None:
            hint = "say it: `collect: {...}`, or leave `as` out"
            if self._read_within(model.as_, (*step.pointer, "steps")):
                hint, inside = f"write `item: {model.as_}`, if it is to name each item", inside.having({model.as_: item})
            sentence = "the list has nothing, since no `collect` says what to keep"
            self.report.report((*step.pointer, "as"), "each.keeps-nothing", sentence, hint, key=True)
        ended = self._block(step.block("steps"), inside)
        self._uses(step.pointer, ended or inside, only=("collect",))
        keys = ended.keys if ended else frozenset()
        learnt = [name for inner in walk(step.block("steps")) if inner.kind == "call" for name in inner.model.case]
        self.several.update(dict.fromkeys(learnt, model.id))
        collected: Schema = {}
        if model.collect is not None:
            collected = self._values(ended or inside).made(model.collect, (*step.pointer, "collect")).schema
        after = scope.having(self._forgets(step, scope))
        return after.having({model.as_: Known(schema={"type": "array", "items": collected})} if model.as_ else {}, keys)

    def _read_within(self, name: str, place: Pointer) -> bool:
        """Whether an expression at or below a place reads a name."""
        return any(one.pointer[: len(place)] == place and name in one.expression.names for one in self.compiled.every)

    def _forgets(self, step: Parsed, scope: Scope) -> dict[str, Known]:
        """Names from before an `each` to which its steps give other values; one that is made of itself is told at once."""
        given = [(name, place) for name, place in leaking(step.block("steps")) if name in scope.names and name not in BUILT_IN]
        for name, place in given:
            if any(one.pointer[: len(place)] == place and name in one.expression.names for one in self.compiled.used.get(place[:-2], ())):
                self._forgot(name, place)
        return {name: replace(scope.names[name], forgot=place) for name, place in given}

    def _forgot(self, name: str, place: Pointer) -> None:
        each = self._within(name)
        if each is not None and place not in self.forgotten:
            self.forgotten.add(place)
            sentence = f"`{name}` has this value until the item ends, and then again the one from before `{each.model.id}`"
            hint = "keep it with `collect` and `as` and read that list, or choose another name"
            self.report.report(place, "each.forgets", sentence, hint, "warning", key=True)

    def _parallel(self, step: Parsed, scope: Scope) -> Scope | None:
        self._uses(step.pointer, scope)
        check_shared(step, self.report)
        seen: dict[str, str] = {}
        after = scope
        for branch in step.model.parallel:
            beside = [name for other in step.model.parallel if other != branch for name, _ in leaking(step.block("parallel", other))]
            inside = scope.having({name: Known() for name in beside if name in scope.names})  # what one branch sets the others see
            for name, pointer in leaking(steps := step.block("parallel", branch)):
                if seen.setdefault(name, branch) != branch:
                    sentence = f"`{name}` is also defined in branch `{seen[name]}`"
                    self.report.report(pointer, "parallel.clash", sentence, "branches run side by side: give each its own names", key=True)
            ended = self._block(steps, inside)
            if ended is None:
                return None
            after = after.having({name: known for name, known in ended.names.items() if known != inside.names.get(name)}, ended.keys)
        return after

    def _fail(self, step: Parsed, scope: Scope) -> None:
        self._uses(step.pointer, scope)

    # --- names and paths ---------------------------------------------------------------------------------------------

    def _uses(self, pointer: Pointer, scope: Scope, *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> None:
        here = self.compiled.used.get(pointer)
        if not here:
            return
        paths = self._paths(scope)
        for used in here:
            part = used.pointer[len(pointer)]
            if part in without or (only and part not in only):
                continue
            before = len(self.report.findings)
            for name in used.expression.names:
                if name not in used.local:
                    self._name(name, used, scope)
            for key in read_keys(used) & (self.world.keys or frozenset()) - scope.keys:
                self.report.report(used.pointer, *self._no_key(key, scope), within=place_of(used, ("case", key)))
            self._denied(used)
            good = paths.check(used, sure=len(self.report.findings) == before)
            if not good or any(one.severity == "error" for one in self.report.findings[before:]):
                self.wrong.add(used.pointer)
            elif part in {"when", "match"} and "error" not in used.expression.names:
                check_condition(used, scope.names, self.report)
            elif part in {"key", "case"}:
                check_key(used, paths.values, self.report, gathers=self.gathers)

    def _name(self, name: str, used: Used, scope: Scope) -> None:
        known = scope.names.get(name)
        if known is not None and known.forgot:
            self._forgot(name, known.forgot)
        if known is not None and (known.sure or used.guarded):
            self._null(name, known, used)
            return
        within = place_of(used, (name,))
        if known is None:
            self.undefined.add(name)
            if name not in self.ungiven:
                hint = self._where_given(name, used, scope)
                self.report.report(used.pointer, "name.undefined", _MISSED.format(name), hint, within=within)
        elif name not in self.misspelt.values() and not self.given.holds(name, used.pointer, used.expression.text):
            hint = f"define it on every way, such as by `set: {{{name}: null}}` before, or write {{$value: ..., $default: ...}}"
            sentence = f"`{name}` is not defined on every way to this step"
            self.report.report(used.pointer, "name.maybe-undefined", sentence, hint, "warning", within=within)

    def _where_given(self, name: str, used: Used, scope: Scope) -> str:
        """A hint for a name that is not there where an expression reads it: where it is, or another name."""
        if "on_late" in used.pointer and (name in self.later or name == "arrival"):
            return "in `on_late` nothing of the first run is seen: the message that came is `body`"
        if name in _ONLY_THERE:
            return _ONLY_THERE[name]
        each = self._within(name)
        if each is not None and used.pointer[: len(each.pointer)] != each.pointer:
            return f"it is seen within `{each.model.id}` alone: `collect` and `as` keep something of each item"
        if name in self.later:
            step, place = self.later[name]
            own = used.pointer[: len(place) - 1] == place[:-1]
            return given_here(used, scope.names) if own else f"it is defined in step `{step}`, which has not run here"
        return suggestion(name, scope.names)

    def _within(self, name: str) -> Parsed | None:
        """The `each` that defines a name for its own steps alone."""
        for step in (one for one in self.compiled.parsed.every if one.kind == "each"):
            if name in {step.model.item, "index"} or any(name == given for inner in walk(step.block("steps")) for given, _ in inner.gives):
                return step
        return None

    def _null(self, name: str, known: Known, used: Used) -> None:
        """A plain path through a name that is null on some way, where no condition before it can tell that way from the others."""
        fields, taken = _needs_fields(used, name), _refuses_null(used, name)
        if (fields or taken) and (null := self.nulls.why(name, known, used.pointer)):
            instead = "{$value: ..., $default: ...}" if fields else f"default({name}, …)"
            if f"{name}.?" in used.expression.text:
                instead = f"default({name}, {{}}).?…: a question mark passes over what is missing, and not over null"
            hint = f"ask `when: {name} != null`, or write {instead}"
            sentence = f"`{name}` {null}, and {'has no fields then' if fields else 'then this has no value'}"
            self.report.report(used.pointer, "name.maybe-null", sentence, hint, "warning", within=place_of(used, (name,)))

    def _denied(self, used: Used) -> None:
        """What is read where a condition holds only if it is not there: often `==` is written for `!=`."""
        if found := self.nulls.denied(used):
            path, why = found
            code = "path.maybe-missing" if "." in path else "name.maybe-null"
            sentence = f"there is no `{path}` where {why}, and this reads it"
            asked = (f"!has({path})", f"has({path})") if "has(" in why else (f"{path} == null", f"{path} != null")
            hint = f"ask the other way round: {asked[why.endswith('holds')]}"
            self.report.report(used.pointer, code, sentence, hint, "warning", within=place_of(used, tuple(path.split("."))))

    def _definable(self, name: str, pointer: Pointer) -> None:
        if problem := name_problem(name):
            self.report.report(pointer, "name.reserved", problem, _as_a_name(name), key="set" in pointer[-2:-1])
        elif name in BUILT_IN:
            self.report.report(pointer, "name.built-in", f"`{name}` is always there and cannot be defined", key="set" in pointer[-2:-1])

    def _key_names(self, keys: Iterable[str], pointer: Pointer) -> None:
        for name in keys:
            if problem := name_problem(name):
                self.report.report((*pointer, name), "name.reserved", problem, _as_a_name(name), key=True)

    def _key(self, step: Parsed, scope: Scope, awaited: MessageType | None) -> None:
        """The key of the case by which a step waits: one that the case has here, and that what it waits for carries."""
        name = step.model.case
        if name is not None and name not in scope.keys:
            self.report.report((*step.pointer, "case"), *self._no_key(name, scope))
        elif awaited is not None and self.world.traffic is not None:
            check_awaited(step, awaited, self.world.traffic, self.report)
        if name in self.several:
            sentence = f"`{self.several[name]}` learns the key `{name}` for each item, and this step looks for the last one only"
            hint = "leave `case` out to take any message of the case, or wait inside the `each`"
            self.report.report((*step.pointer, "case"), "case.last-of-several", sentence, hint, "warning")

    def _no_key(self, name: str, scope: Scope) -> tuple[str, str, str]:
        """(code, sentence, hint) for a key that the case has not at a step."""
        hint = suggestion(name, scope.keys) or ("known here: " + ", ".join(sorted(scope.keys)) if scope.keys else "")
        if self.body is not None and name in self.body.case:
            said = self.body.case[name].text
            first = self.body is self.world.types.get(self.model.on)
            hint = (
                f"the message has it: write `case: {{{name}: {said}}}` at the top of the route" if first else f"the message has it: {said}"
            )
        return "case.unknown-key", f"the case has no key `{name}` at this step", hint

    def _item(self, step: Parsed, scope: Scope) -> Known:
        over = self.compiled.by_pointer.get((*step.pointer, "each"))
        return self._values(scope).item(over) if over else Known()

    def _paths(self, scope: Scope) -> Paths:
        return Paths(self._values(scope), self.report, self.compiled.looked_at, self.doubts)

    def _values(self, scope: Scope) -> Values:
        return Values(scope.names, self.world.typed, self.compiled.by_pointer, self.ended)

    # --- what steps name ---------------------------------------------------------------------------------------------

    def _operation(self, name: str, pointer: Pointer) -> Operation | None:
        found = self.world.operations.get(name)
        if found is None:
            same = [one for one in self.world.operations if one.rpartition(".")[2] == name.rpartition(".")[2]]
            hint = f"it is a message type: `send: {name}` sends one" if name in self.world.types else self.world.no_system(name)
            hint = hint or suggestion(name, self.world.operations)
            hint = hint or ("did you mean " + " or ".join(same[:3]) + "?" if same else "")
            if name in self.world.systems:
                hint = "it has " + ", ".join(one for one in self.world.operations if one.startswith(f"{name}."))
            self.report.report(pointer, "operation.unknown", f"there is no operation `{name}`", hint)
        return found

    def _type(self, name: str, pointer: Pointer) -> MessageType | None:
        found = self.world.types.get(name)
        if found is None and name not in self.world.broken:
            asked = f"it is an operation: `call: {name}` asks it" if name in self.world.operations else ""
            if _DURATION.fullmatch(name):
                asked = f"to wait for a time write `wait:` without a type, and `deadline: {name}`"
            self.report.report(pointer, "type.unknown", f"there is no message type `{name}`", asked or suggestion(name, self.world.types))
        return found

    def _mapping(self, step: Parsed, name: str, part: str, scope: Scope) -> CompiledMapping | None:
        pointer = (*step.pointer, part)
        found = self.world.mappings.get(name)
        if found is None:
            if name not in self.world.broken:
                source = self.body.name if self.body else "TYPE"
                target = step.what if part == "mapping" else "TYPE"
                begun = f"`bus new mapping {name} --from {source} --to {target}` begins it"
                hint = suggestion(name, self.world.mappings) or begun
                self.report.report(pointer, "mapping.unknown", f"there is no mapping `{name}`", hint)
            return None
        source = found.document.from_
        if self.body is not None and source != self.body.name and source in self.world.types:
            sentence = f"mapping `{name}` is from `{source}`, the message is `{self.body.name}`"
            hint = f"correct its `from` if it is made for `{self.body.name}`, or apply another one"
            self.report.report(pointer, "mapping.wrong-source", sentence, hint)
        for key in set[str]().union(*map(read_keys, found.used)) & (self.world.keys or frozenset()) - scope.keys:
            code, sentence, hint = self._no_key(key, scope)
            self.report.report(pointer, code, f"{sentence}, and mapping `{name}` reads it", hint)
        given, sure = self._given_to(found, name, pointer, scope)
        if given and (self.body is None or source == self.body.name):
            doubts = doubts_in(found, given, self.compiled.looked_at, self.world, self.applied(name))
            doubts.tell(sure - self.doubts.misread)
        return found

    def _given_to(self, mapping: CompiledMapping, name: str, pointer: Pointer, scope: Scope) -> tuple[dict[str, Known], set[str]]:
        """What is known of the names that a mapping uses, and those of them that are surely there."""
        given, sure = dict[str, Known](), set[str]()
        for needed in mapping.document.uses:
            known = scope.names.get(needed)
            if known is None:
                hint = f"it is defined in step `{self.later[needed][0]}`" if needed in self.later else suggestion(needed, scope.names)
                self.undefined.add(needed)
                if all(one.sentence != _MISSED.format(needed) for one in self.report.findings):
                    self.ungiven.add(needed)
                    self.report.report(pointer, "mapping.not-given", f"mapping `{name}` uses `{needed}`, which is not there", hint)
            elif not known.sure and needed not in self.misspelt.values() and not self.given.holds(needed, pointer):
                sentence = f"`{needed}` is not defined on every way to this step"
                self.report.report(pointer, "name.maybe-undefined", sentence, "the mapping uses it: define it on every way", "warning")
            elif (null := self.nulls.why(needed, known, pointer)) and _reads_fields(mapping, needed):
                sentence = f"the mapping uses fields of `{needed}`, which {null}, and has none then"
                hint = f"ask `when: {needed} != null`, or write {{$value: ..., $default: ...}} in the mapping"
                self.report.report(pointer, "name.maybe-null", sentence, hint, "warning")
            else:
                sure.add(needed)
            given |= {needed: replace(known, texts=frozenset())} if known else {}  # another route may give it another one
        return given, sure

    def _target(self, step: Parsed, scope: Scope, name: str, schema: Schema | None) -> None:
        """The request or body a step makes, by mapping or by template."""
        if step.model.mapping is not None:
            mapping = self._mapping(step, step.model.mapping, "mapping", scope)
            made = mapping.document.to if mapping else name
            if schema is not None and made != name and target_schema(made, self.world) is not None:
                sentence = f"mapping `{step.model.mapping}` makes `{made}`, this step needs `{name}`"
                hint = f"correct its `to` if it is made for `{name}`, or apply another one"
                self.report.report((*step.pointer, "mapping"), "mapping.wrong-target", sentence, hint)
            return
        if schema is None or (step.model.with_ is None and step.unclear):
            return
        paths = self._paths(scope)
        written = {} if step.model.with_ is None else step.model.with_
        pointer = step.pointer if step.model.with_ is None else (*step.pointer, "with")
        Target(name, schema, paths).check(written, pointer)

    def _promises(self, step: Parsed, operation: Operation) -> None:
        """What the operation's effect allows: retries and undo."""
        model = step.model
        if operation.effect == "once" and model.retry is not None and model.retry.attempts > 1:
            sentence = f"`{model.call}` may take effect twice: an operation of effect `once` is never retried by itself"
            self.report.report((*step.pointer, "retry"), "retry.once", sentence, "leave `retry` out: a person decides", key=True)
        elif (retry := model.retry) is not None and seconds_of(retry.wait) > seconds_of(retry.most):
            sentence = f"no wait is longer than `most` ({retry.most}): `wait: {retry.wait}` is cut to it"
            self.report.report((*step.pointer, "retry"), "retry.cut", sentence, f"write `most: {retry.wait}` too", "warning", key=True)
        if model.undo is None:
            return
        undo = self._operation(model.undo, (*step.pointer, "undo"))
        adapter = model.call.rpartition(".")[0]
        declared = operation.undo if operation.undo and "." in operation.undo else f"{adapter}.{operation.undo}"
        if undo is not None and (operation.undo is None or model.undo != declared):
            hint = f"its undo is {declared}" if operation.undo else f"`{model.call}` declares no undo"
            self.report.report((*step.pointer, "undo"), "undo.not-declared", f"`{model.undo}` does not take `{model.call}` back", hint)
        elif undo is not None:  # it is asked with the answer of what it takes back
            paths = self._paths(Scope({}, frozenset()))
            target = Target(model.undo, shape_of(undo.request), paths)
            target.takes(answer_of(operation.answer), (*step.pointer, "undo"), f"what {model.call} answers")


_ONLY_THERE = {
    "case": NO_CASE,
    "error": "it is there in `on_error` alone: give what you need of it a name there, with `set`",
    "arrival": "it is there in the `match` of a wait alone: `as` names what came",
    "items": "it is there in `until` and `on_deadline` of a gather alone: `as` names what was gathered",
}
"""Names that only some places have."""
_DURATION = re.compile(r"\d+\s*(s|m|h|d|wd|w|M|y)")
_SENT: Schema = {"type": "object", "additionalProperties": False, "properties": {"id": {"type": "string"}}, "required": ["id"]}
"""What `send` keeps under its name."""


def _as_a_name(text: str) -> str:
    """What to write in place of what cannot be a name."""
    plain = written_as_name(text)
    return "" if name_problem(plain) else f"write {plain}"


def _needs_fields(used: Used, name: str) -> bool:
    """Whether an expression reads a field of a name in any case, and has no other value for where there is none."""
    read = (one for one in used.reads.references if one.path[0] == name and len(one.path) > 1)
    return not used.guarded and any(one.needed or one.free for one in read)


def _refuses_null(used: Used, name: str) -> bool:
    """Whether an expression gives a name, in any case, to an operator or function that takes no null."""
    return not used.guarded and any(one.path == (name,) and one.bare and one.needed for one in used.reads.references)


def _reads_fields(mapping: CompiledMapping, name: str) -> bool:
    """Whether a mapping reads fields of a name as if they were surely there."""
    return (name,) not in asked_in(mapping.used) and any(_needs_fields(one, name) for one in mapping.used)
