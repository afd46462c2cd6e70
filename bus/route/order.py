"""Effects before reads: a call that may refuse, and so end the run, when something has been done outside that nothing takes back.

The steps are walked in the order in which they run. What a read needs of an effect (the number that it gave) is no reproach: it cannot come
before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bus.adapter import Operation
from bus.route.parse import Parsed
from bus.route.ways import Ends, clauses_of, ends_the_run
from bus.source import Pointer, Reporter


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """A step that acts outside, and ``under`` which conditions it was reached. Two are the same only if they are one."""

    step: Parsed
    under: frozenset[str]

    @property
    def sent(self) -> bool:
        return self.step.kind == "send"

    @property
    def lasting(self) -> bool:
        """Whether nothing takes it back."""
        return self.sent or self.step.model.undo is None


@dataclass(slots=True)
class Order:
    """Walks a route in order, with the effects that have been asked since the last wait, and what each name comes from."""

    operations: Mapping[str, Operation]
    uses: Mapping[Any, list[Any]]
    mappings: Mapping[str, Any]
    endings: Mapping[str, frozenset[int]]
    ends: Ends
    report: Reporter
    told: set[Pointer] = field(default_factory=set)

    def check(self, steps: Sequence[Parsed]) -> None:
        self._steps(steps, [], {}, frozenset())

    def _steps(
        self, steps: Sequence[Parsed], before: list[Effect], origins: dict[str, set[str]], under: frozenset[str], *, again: bool = False
    ) -> list[Effect]:
        """The effects after some steps; ``again``: in a later turn of an `each`."""
        effects = list(before)
        for step in steps:
            effects = self._step(step, effects, origins, under, again=again)
        return effects

    def _step(
        self, step: Parsed, effects: list[Effect], origins: dict[str, set[str]], under: frozenset[str], *, again: bool
    ) -> list[Effect]:
        sources = self._sources(step, origins)
        for name in _gives(step):
            origins[name] = sources | {step.model.id}
        if step.model.when is not None:
            under |= {str(step.model.when)}
        before = [] if step.kind in {"wait", "gather"} else effects
        inner = {
            where: self._steps(block, before, origins, under | _branch(step, where), again=again) for where, block in step.blocks.items()
        }
        if step.kind == "call":
            operation = self.operations.get(step.model.call)
            if operation is None:
                return effects
            if operation.effect == "read":
                self._read(step, operation, _before(step, effects, under), sources, again=again)
                return effects
        if step.kind in {"call", "send"}:
            return [*effects, Effect(step, under)]
        if step.kind == "each" and not again:
            for block in step.blocks.values():  # as the second turn finds it
                self._steps(block, next(iter(inner.values())), origins, under, again=True)
        return _after(step, before, inner)

    def _read(self, step: Parsed, operation: Operation, effects: Iterable[Effect], sources: set[str], *, again: bool) -> None:
        if step.pointer in self.told:
            return
        ends = self.ends.of(operation, clauses_of(step, "on_error", self.uses))
        if not ends_the_run(ends, self.endings.get(step.model.id, frozenset())):
            return
        effect = next((one for one in effects if one.step.model.id not in sources and one.lasting), None)
        if effect is None:
            return
        self.told.add(step.pointer)
        by = effect.step.model.id
        done = f"`{effect.step.what}` (step {by}) has already " + ("been sent" if effect.sent else "taken effect")
        sentence = f"`{step.model.call}` may refuse when {done}" + (" for an item before" if again else "")
        hint = f"ask first: put step `{step.model.id}` " + ("into an `each` of its own, " if again else "") + f"before `{by}`"
        hint += "" if effect.sent else ", or give that an `undo`"
        self.report.report((*step.pointer, "call"), "order.effect-before-read", sentence, hint, "warning")

    def _sources(self, step: Parsed, origins: Mapping[str, set[str]]) -> set[str]:
        """The steps that what a step reads comes from."""
        read: set[str] = set()
        for used in self.uses.get(step.pointer, ()):
            for one in used.reads.references:
                read.update(origins.get(one.path[0], ()))
                if one.path[0] == "case":  # `_gives` names its keys
                    read.update(origins.get(".".join(one.path[:2]), ()))
        said = step.model.__dict__
        mapping = self.mappings.get(said.get("mapping") or said.get("map") or "")
        for name in mapping.document.uses if mapping else ():
            read.update(origins.get(name, ()))
        return read


def _before(step: Parsed, effects: Iterable[Effect], under: frozenset[str]) -> Iterator[Effect]:
    """The effects that a read comes after; where it has a condition, only those whose conditions are all among its own."""
    return (one for one in effects if step.model.when is None or one.under <= under)


def _branch(step: Parsed, where: Pointer) -> frozenset[str]:
    """What stands for the condition of a branch of a choice, or of what follows an error or a deadline."""
    return frozenset({f"{step.model.id} {where}"}) if step.kind in {"choose", "call", "wait", "gather"} else frozenset()


def _after(step: Parsed, before: list[Effect], inner: Mapping[Pointer, list[Effect]]) -> list[Effect]:
    """The effects after a step with blocks. Of a choice, those of its branches count where each that goes on has one."""
    if step.kind in {"each", "parallel"} and inner:
        return list(dict.fromkeys(one for effects in inner.values() for one in effects))
    if step.kind != "choose" or not _exhaustive(step):
        return before
    going = [inner[where] for where, block in step.blocks.items() if not block or block[-1].kind != "fail"]
    gained = [[one for one in effects if one not in before] for effects in going]
    return [*before, *(one for effects in gained for one in effects)] if all(gained) else before


def _exhaustive(step: Parsed) -> bool:
    """Whether a choice surely takes one of its branches."""
    return bool(step.model.otherwise) or any(clause.when is None for clause in step.model.choose)


def _gives(step: Parsed) -> Iterator[str]:
    yield from (name for name, _ in step.gives)
    if step.kind == "call":
        yield from (f"case.{key}" for key in step.model.case)
