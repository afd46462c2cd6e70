"""Examples of shapes: a value that a JSON Schema allows, made up where nobody gave one."""

from __future__ import annotations

from typing import Any

from bus.expression.unions import first_shape
from bus.mapping.shapes import outside, resolve

_TRIES = (
    "x",
    "1",
    "A1",
    "00000",
    "0000000000000000",
    "2026-01-01",
    "2026-01-01T09:00:00Z",
    "x@comune.example",
    "https://comune.example/",
    "RSSMRA80A01H501U",
)


def example_of(schema: Any, root: Any, depth: int = 0) -> Any:
    """A value of a JSON Schema, as small as it may be; the best that can be done where the schema says more than this understands."""
    here = first_shape(resolve(schema, root))
    for word in ("const", "default"):
        if word in here:
            return here[word]
    if here.get("enum") or here.get("examples"):
        return (here.get("enum") or here["examples"])[0]
    kind = here.get("type", "string")
    kind = next((one for one in kind if one != "null"), "null") if isinstance(kind, list) else kind
    match kind:
        case "object":
            fields = here.get("properties", {})
            return {name: example_of(fields.get(name, {}), root, depth + 1) for name in here.get("required", ())} if depth < 20 else {}
        case "array":
            return [example_of(here.get("items", {}), root, depth + 1)] * here.get("minItems", 0)
        case "integer" | "number":
            least = here.get("minimum", here.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in here))
            return max(int(least), 0) if "maximum" not in here or here["maximum"] >= 0 else here["maximum"]
        case "boolean":
            return True
        case "null":
            return None
    tries = [one for one in (*_TRIES, "x" * here.get("minLength", 0), "0" * here.get("minLength", 0)) if not outside(one, here)]
    return tries[0] if tries else "x"
