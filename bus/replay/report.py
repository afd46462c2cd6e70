"""What a replay found: counts, then each run that is not as it was; no value of any payload, only names of fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bus.errors import counted
from bus.replay.evidence import Rulebook
from bus.replay.recount import RESULTS, Result, Verdict

DAMAGED: Result = "unavailable: damaged"


@dataclass
class Report:
    """Verdicts are added one by one; those that are equal are only counted, unless ``every``."""

    book: Rulebook
    every: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    kept: list[tuple[Verdict, list[str]]] = field(default_factory=list)

    def add(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            self.counts[verdict.result] += 1
            self.steps += verdict.steps
            if self.every or verdict.result != "equal":
                places = [self.book.places(one.rules).of(one.place, one.fields) for one in verdict.differences]
                self.kept.append((verdict, places))

    @property
    def worst(self) -> str:
        """The result of the whole."""
        return next((name for name in RESULTS[1:] if self.counts[name]), "equal")

    def as_json(self) -> dict[str, Any]:
        return {
            "result": self.worst, "runs": self.counts.total(), "steps": self.steps,
            "counts": {name: self.counts[name] for name in RESULTS}, "verdicts": [_verdict(*one) for one in self.kept],
        }  # fmt: skip

    def as_text(self) -> str:
        lines = [line for one in self.kept for line in _lines(*one)]
        counts = ", ".join(f"{self.counts[name]:,} {name}" for name in RESULTS if self.counts[name] or name == "equal")
        said = f"{counted(self.counts.total(), 'run')}, {counted(self.steps, 'step')} recomputed: {counts}"
        return "\n".join([*lines, *self._damaged(), said])

    def _damaged(self) -> Iterator[str]:
        texts = {one.sentence for verdict, _ in self.kept for one in verdict.differences if one.result == DAMAGED}
        if texts:
            remedy = "bus log verify says more; what is restored from a backup, with its key, can be recomputed again"
            yield f"damaged, and not erased: {len(texts):,} ({remedy})"


def _verdict(verdict: Verdict, places: list[str]) -> dict[str, Any]:
    opening = verdict.opening
    return {
        "run": opening.run, "message": opening.message, "route": opening.name, "rules": opening.digest, "state": verdict.state,
        "result": verdict.result, "steps": verdict.steps,
        "differences": [
            {
                "result": one.result, "at": at, "place": one.place, "path": one.path, "sentence": one.sentence,
                "fields": list(one.fields), "rules": one.rules,
            }
            for one, at in zip(verdict.differences, places, strict=True)
        ],
    }  # fmt: skip


def _lines(verdict: Verdict, places: list[str]) -> Iterator[str]:
    opening = verdict.opening
    yield f"{opening.run}  {opening.name}  {verdict.state}  {counted(verdict.steps, 'step')}: {verdict.result}"
    for one, at in zip(verdict.differences, places, strict=True):
        fields = f" ({', '.join(one.fields[:6])}{', …' if len(one.fields) > 6 else ''})" if one.fields else ""
        yield f"    {one.result} at {at}: {one.place}{f' [{one.path}]' if one.path else ''}: {one.sentence}{fields}"
