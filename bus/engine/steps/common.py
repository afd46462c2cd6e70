"""What several step kinds share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bus.route.plan import Step

if TYPE_CHECKING:
    from bus.engine.interpreter import StepCode, Strand


def with_names(strand: Strand, steps: Sequence[Step], **names: Any) -> StepCode:
    """Steps that alone see some names; what else they define stays."""
    from bus.engine.steps import sequence

    yield from sequence(steps, strand.seeing(**names) if names else strand)
