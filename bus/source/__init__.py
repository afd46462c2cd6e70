"""YAML with places: the only room of PyYAML. Text in, a tree of nodes and all findings out.

The YAML we read is a strict part of YAML 1.2: core schema (``no``, ``on`` and ``12:30`` are text), UTF-8, one document, no anchors,
aliases, tags or merge keys, no duplicate keys, at most 1 MB and 40 levels. A plain scalar that might be a code (``00118``, ``+39055``,
``302001234567890123``) is not guessed at: it must be quoted. Everything wrong becomes a `Finding` with its place; nothing is raised.
"""

from __future__ import annotations

from bus.source.documents import meant_by, validated, wrong_fields
from bus.source.findings import (
    EMPTY,
    Finding,
    Notes,
    Place,
    Pointer,
    Reporter,
    Severity,
    in_order,
    line_and_column,
    nearest,
    render,
    report_empty,
    suggestion,
)
from bus.source.reading import DEPTH, LIMIT, doubtful_number, read, read_file
from bus.source.tree import Node, Source, walk

__all__ = [
    "DEPTH", "EMPTY", "LIMIT", "Finding", "Node", "Notes", "Place", "Pointer", "Reporter", "Severity", "Source", "doubtful_number",
    "in_order", "line_and_column", "meant_by", "nearest", "read", "read_file", "render", "report_empty", "suggestion", "validated", "walk",
    "wrong_fields",
]  # fmt: skip
