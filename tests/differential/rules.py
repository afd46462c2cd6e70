"""Routes by chance, what the systems do in them, and what happens: everything that one seed says."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus import examine
from bus.adapter import Adapter, Call, Contract, operation
from bus.catalog import Catalog

TIMEOUT, SETTLE = 5.0, 60.0
SYSTEMS = ("aa", "bb", "cc", "dd", "ee", "ff", "gg")
"""Each call of a route asks a system of its own, so that its answers do not depend on which branch is first."""
REFUSALS = {"NO": "it says no", "FORSE": "it says that it may have done that"}


class Domanda(Contract):
    chi: str
    n: int = 0


class Risposta(Contract):
    chi: str
    n: int = 0


@dataclass
class Sistema(Adapter):
    """Every effect class; what it does is ``next``: an answer, nothing, or an error."""

    name: str
    settings: None = None
    next: Any = None

    def _next(self) -> Any:
        if isinstance(self.next, Exception):
            raise self.next
        return None if self.next is None else Risposta.model_validate(self.next)

    @operation(effect="read", timeout=TIMEOUT, refusals=REFUSALS)
    def leggi(self, request: Domanda, ctx: Call) -> Risposta:
        return self._next()

    @operation(effect="keyed", timeout=TIMEOUT, undo="annulla", refusals=REFUSALS, echoes=frozenset({"FORSE"}))
    def scrivi(self, request: Domanda, ctx: Call) -> Risposta:
        return self._next()

    @operation(effect="keyed", timeout=TIMEOUT, refusals=REFUSALS)
    def annulla(self, request: Risposta, ctx: Call) -> Risposta:
        return self._next()

    @operation(effect="queryable", timeout=TIMEOUT, settle=SETTLE, undo="disfa", refusals=REFUSALS)
    def registra(self, request: Domanda, ctx: Call) -> Risposta:
        return self._next()

    @registra.probe  # type: ignore[untyped-decorator]
    def cerca(self, request: Domanda, ctx: Call) -> Risposta | None:
        return self._next()

    @operation(effect="queryable", timeout=TIMEOUT, settle=SETTLE, refusals=REFUSALS)
    def disfa(self, request: Risposta, ctx: Call) -> Risposta:
        return self._next()

    @disfa.probe  # type: ignore[untyped-decorator]
    def ritrova(self, request: Risposta, ctx: Call) -> Risposta | None:
        return self._next()

    @operation(effect="once", timeout=TIMEOUT, refusals=REFUSALS)
    def spedisci(self, request: Domanda, ctx: Call) -> Risposta:
        return self._next()


OPERATIONS = {f"{system}.{name}": one for system in SYSTEMS for name, one in Sistema.operations.items()}
UNDO = {"scrivi": "annulla", "registra": "disfa"}
TYPE = """
type: p.{name}
title: Of a comparison
case: {{pratica: body.?caso.orValue(null), iuv: body.?iuv.orValue(null)}}
schema:
  type: object
  additionalProperties: false
  required: [chi]
  properties:
    chi: {{type: string}}
    caso: {{type: string}}
    iuv: {{type: string}}
    n: {{type: integer}}
    entro: {{type: string}}
    voci: {{type: array, items: {{type: string}}}}
"""
TAKER = "route: altri.{name}\nversion: 1\non: p.{name}\norder: none\nsteps: [{{id: niente, set: {{niente: 1}}}}]\n"
"""Somebody takes each message, so that it may be sent."""
CLOCK = "2026-03-02T09:00:00+01:00"


def catalog_of(folder: Path, route: dict[str, Any]) -> Catalog:
    """A route among the others, loaded from files. Raises `RulesError`."""
    for name in ("routes", "mappings/types"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("inizio", "ricevuta", "parte", "avviso"):
        (folder / "mappings/types" / f"p.{name}.yaml").write_text(TYPE.format(name=name), "utf-8")
        if name != "inizio":
            (folder / "routes" / f"{name}.yaml").write_text(TAKER.format(name=name), "utf-8")
    mapping = "mapping: p.traduci\nfrom: p.inizio\nto: p.avviso\nfields: {chi: 'body.chi + \"!\"'}\n"
    (folder / "mappings/traduci.yaml").write_text(mapping, "utf-8")
    (folder / "routes/prova.yaml").write_text(json.dumps(route), "utf-8")
    return examine.load(folder, OPERATIONS)


@dataclass
class Chance:
    """What a seed says. ``item`` is the name of the item of the list that is walked, ``names`` are answers that surely are there."""

    seed: int
    order: str = "none"
    free: list[str] = field(default_factory=lambda: list(SYSTEMS))
    asked: list[str] = field(default_factory=list)
    ids: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    def play(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A route, and a test of it."""
        route = {
            "route": "p.prova", "version": 1, "on": "p.inizio", "order": self.order, "case": {"pratica": "body.caso"},
            "steps": self.steps(self.dice.randint(2, 5), 2, [], ""),
        }  # fmt: skip
        given = {"clock": CLOCK, **{name: self.conducts(name) for name in self.asked}}
        day = self.dice.choice(("2026-03-04", "2026-03-02", "2026-03-01", "2026-03-29", "2026-04-20"))
        send = {"chi": "m0", "caso": "c1", "n": self.dice.randrange(4), "voci": ["v0", "v1", "v2"][: self.dice.randrange(4)], "entro": day}
        test: dict[str, Any] = {"name": "t", "given": given, "send": send, "then": self.events(), "expect": {"state": "done"}}
        if self.dice.random() < 0.3:
            body = {"chi": "m5", "caso": "c1", "n": 2}
            test["earlier"] = [{"arrive": self.dice.choice(("p.parte", "p.ricevuta")), "body": body, "at": "2026-03-01T20:00:00+01:00"}]
        return route, test

    def new(self, kind: str) -> str:
        self.ids += 1
        return f"{kind}{self.ids}"

    def maybe(self, chance: float, name: str, *values: Any) -> dict[str, Any]:
        return {name: self.dice.choice(values)} if self.dice.random() < chance else {}

    def when(self) -> dict[str, Any]:
        return self.maybe(0.15, "when", "body.n > 1", "body.n % 2 == 0", "size(body.voci) > 1")

    def text(self, names: list[str], item: str) -> str:
        return str(
            self.dice.choice(['"x " + body.chi', *([f'{item} + " " + body.chi'] if item else []), *(f"{name}.chi" for name in names)])
        )

    # -- steps ---------------------------------------------------------------------------------------------------------

    def steps(self, count: int, depth: int, names: list[str], item: str) -> list[dict[str, Any]]:
        return [self.step(depth, names, item) for _ in range(count)]

    def step(self, depth: int, names: list[str], item: str) -> dict[str, Any]:
        kinds = [*(["call"] * 6), "set", "map", "reply", "send", "wait", "wait", "gather", "fail"]
        if depth > 0:
            kinds += ["choose", "each", "each", "parallel", "parallel"]
        kind = self.dice.choice(kinds)
        if kind == "call" and not self.free:
            kind = "set"
        make: Callable[[int, list[str], str], dict[str, Any]] = getattr(self, f"_{kind}")
        return {"id": self.new(kind[0]), **make(depth, names, item)}

    def few(self, depth: int, names: list[str], item: str, most: int = 1) -> list[dict[str, Any]]:
        return self.steps(self.dice.randint(1, most), depth, list(names), item)

    def ask(self, *names: str) -> str:
        name = f"{self.free.pop(self.dice.randrange(len(self.free)))}.{self.dice.choice(names)}"
        self.asked.append(name)
        return name

    def _call(self, depth: int, names: list[str], item: str) -> dict[str, Any]:
        name = self.ask("leggi", "scrivi", "scrivi", "registra", "registra", "spedisci")
        system, _, what = name.partition(".")
        step: dict[str, Any] = {
            **self.when(),
            "call": name,
            "with": {"chi": self.text(names, item)},
            **self.maybe(0.2, "timeout", "2s", "20s"),
        }
        if what in UNDO and self.dice.random() < 0.6:
            step["undo"] = f"{system}.{UNDO[what]}"
            self.asked.append(step["undo"])
        if what != "spedisci":
            retries = ({"attempts": a, "wait": w} for a in (1, 2, 3, 7) for w in ("1s", "30s", "2m"))
            step |= self.maybe(0.3, "retry", *retries)
        said = (
            'error.kind == "unreachable"',
            'error.kind == "in_doubt"',
            'error.kind == "refused" && error.code == "NO"',
            "error.attempts > 1",
        )
        clauses: list[dict[str, Any]] = []
        if self.dice.random() < 0.3:
            clauses.append({"when": self.dice.choice(said), "steps": self.few(0, names, item)})
        if self.dice.random() < 0.25:
            clauses.append({"steps": self.few(0, names, item)})
        if clauses:
            step["on_error"] = clauses
        if not clauses or "when" in clauses[-1]:
            step["dead_on"] = "any"
        if not clauses and "when" not in step and self.dice.random() < 0.8:
            step["as"] = name = self.new("r")
            names.append(name)
            if self.dice.random() < 0.15:
                step["case"] = {"iuv": f"{name}.chi"}
        return step

    def _set(self, depth: int, names: list[str], item: str) -> dict[str, Any]:
        return {**self.when(), "set": {self.new("s"): self.dice.choice(("body.n + 1", self.text(names, item), "now", "case"))}}

    def _map(self, depth: int, names: list[str], item: str) -> dict[str, Any]:
        return {"map": "p.traduci", "as": self.new("t")}

    def _reply(self, depth: int, names: list[str], item: str) -> dict[str, Any]:
        said = {"chi": self.text(names, item), **self.maybe(0.4, "quando", "now"), **self.maybe(0.4, "caso", "case")}
        return {**self.when(), "reply": said}

    def _send(self, depth: int, names: list[str], item: str) -> dict[str, Any]:
        keys = {**self.maybe(0.5, "caso", "body.caso"), **self.maybe(0.3, "iuv", '"i9"')}
        what = self.dice.choice(("p.avviso", "p.parte", "p.ricevuta"))
        return {**self.when(), "send": what, "with": {"chi": self.text(names, item), "n": "body.n", **keys}}

    def _late(self) -> list[dict[str, Any]]:
        if self.free and self.dice.random() < 0.7:
            call = {"call": self.ask("scrivi", "registra", "leggi"), "with": {"chi": '"tardi " + body.chi'}, "dead_on": "any"}
            return [{"id": self.new("c"), **call}]
        return [{"id": self.new("r"), "reply": {"tardi": "body.chi"}}]

    def _after(self, step: dict[str, Any], names: list[str], item: str) -> dict[str, Any]:
        """What a wait does at its end, if it has one."""
        if "deadline" in step or "by" in step:
            if self.dice.random() < 0.5:
                step["on_deadline"] = self.few(0, names, item)
            if self.dice.random() < 0.4:
                step["on_late"] = self._late()
        return step

    def _wait(self, depth: int, names: list[str], item: str) -> dict[str, Any]:
        if self.dice.random() < 0.15:
            return {"wait": None, "deadline": self.dice.choice(("10m", "1d", "90s"))}
        matches = ("arrival.?n.orValue(0) > 1", "arrival.chi != body.chi", "arrival.?n.orValue(0) % 2 == 0")
        step = {
            "wait": self.dice.choice(("p.ricevuta", "p.parte")), **self.maybe(0.4, "case", "pratica"), **self.maybe(0.35, "match", *matches),
            **self.maybe(0.7, "deadline", "1h", "2d", "5wd", "3m", "1M", "20s"), "as": self.new("a"),
        }  # fmt: skip
        step |= self.maybe(0.2 if "deadline" in step else 0.6, "by", "body.entro", 'date_add(body.entro, "1d")', 'body.entro + "T09:00"')
        if "deadline" in step:
            step |= self.maybe(0.3, "again", 1, 2)
        return self._after(step, names, item)

    def _gather(self, depth: int, names: list[str], item: str) -> dict[str, Any]:
        ends = ("size(items) > 1", "items.exists(i, i.?n.orValue(0) > 1)", "items.all(i, i.?n.orValue(0) > 0)")
        step = {
            "gather": self.dice.choice(("p.ricevuta", "p.parte")), **self.maybe(0.4, "case", "pratica"),
            **self.maybe(0.5, "count", "2", "size(body.voci)", "body.n"), **self.maybe(0.8, "deadline", "1h", "2d", "5wd"), "as": self.new("g"),
        }  # fmt: skip
        step |= self.maybe(0.3 if "count" in step else 1, "until", *ends)
        return self._after(step, names, item)

    def _choose(self, depth: int, names: list[str], item: str) -> dict[str, Any]:
        clause = {"when": self.dice.choice(("body.n > 1", "size(body.voci) == 2")), "steps": self.few(depth - 1, names, item, 2)}
        otherwise = {"otherwise": self.few(depth - 1, names, item)} if self.dice.random() < 0.6 else {}
        return {"choose": [clause], **otherwise}

    def _each(self, depth: int, names: list[str], item: str) -> dict[str, Any]:
        inner, known = self.new("i"), list(names)
        step = {"each": "body.voci", "item": inner, "steps": self.steps(self.dice.randint(1, 2), depth - 1, known, inner)}
        return step | ({"collect": self.text(known, inner), "as": self.new("l")} if self.dice.random() < 0.5 else {})

    def _parallel(self, depth: int, names: list[str], item: str) -> dict[str, Any]:
        branches = ("uno", "due", "tre")[: self.dice.choice((2, 2, 3))]
        return {"parallel": {name: self.few(depth - 1, names, item, 2) for name in branches}}

    def _fail(self, depth: int, names: list[str], item: str) -> dict[str, Any]:
        when = self.dice.choice(("body.n > 1", "body.n % 2 == 0", "size(body.voci) > 1"))
        return {"when": when, "fail": "p.rinuncia", **self.maybe(0.4, "dead", False), **self.maybe(0.3, "undo", False)}

    # -- what happens --------------------------------------------------------------------------------------------------

    def conducts(self, name: str) -> Any:
        found = [self._conduct(name) for _ in range(self.dice.choice((1, 1, 2)))]
        return found if len(found) > 1 else found[0]

    def _conduct(self, name: str) -> dict[str, Any]:
        answer = {"answers": {"chi": f"{name[:2]}{self.dice.randrange(3)}", "n": self.dice.randrange(4)}}
        if self.dice.random() < 0.5:
            return answer
        alone = [{"refuses": "NO"}, {"refuses": "FORSE"}, {"unreachable": True}, {"silent": True}, {"faults": True}]
        before = [
            *({"unreachable": n} for n in (1, 2, 4, 8)), {"in_doubt": "happened"}, {"in_doubt": "not"}, *({"faults": n} for n in (1, 2, 5)),
            *({"delays": time} for time in ("1s", "3s", "10s", "40s", "70s", "5m")), *({"dies": n} for n in (1, 2, 6)),
            {"unreachable": 1, "in_doubt": "happened"}, {"faults": 1, "dies": 2},
        ]  # fmt: skip
        return self.dice.choice(alone) if self.dice.random() < 0.4 else {**self.dice.choice(before), **answer}

    def events(self) -> list[dict[str, Any]]:
        return [self._event() for _ in range(self.dice.choice((0, 2, 3, 4, 5)))]

    def _event(self) -> dict[str, Any]:
        if self.dice.random() < 0.45:
            return {"pass": self.dice.choice(("30s", "10m", "1h", "1d", "3d", "8d", "40d"))}
        body = {"chi": self.dice.choice(("m0", "m1", "m2")), "n": self.dice.randrange(4), "caso": self.dice.choice((*(["c1"] * 9), "c2"))}
        return {"arrive": self.dice.choice(("p.ricevuta", "p.parte")), "body": {**body, **self.maybe(0.3, "iuv", "i9", "aa0", "bb1")}}
