"""What several step kinds share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bus.route.plan import Step

if TYPE_CHECKING:
    from bus.engine.interpreter import StepCode, Strand


def with_names(strand: Strand, steps: Sequence[Step], **names: Any) -> StepCode:
    """Steps that see some names only while they run; what they define stays."""
    from bus.engine.steps import sequence

    before = {name: strand.scope[name] for name in names if name in strand.scope}
    strand.scope.update(names)
    yield from sequence(steps, strand)
    for name in names:
        del strand.scope[name]
    strand.scope.update(before)
