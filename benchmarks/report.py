"""What a run says: one JSON document, and the same as a table for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import checking, evidence
from benchmarks.house import ROLES
from benchmarks.measures import Figures
from benchmarks.where import Share

AIMS = {"pratica": "0.50", "iscrizione": "0.40", "avviso": ""}
"""Of the rival with group commit."""
WALKS = (("pratica", "transform and deliver"), ("iscrizione", "SOAP and insert"), ("avviso", "join by IUV"))


def results(
    machine: dict[str, Any],
    figures: Figures,
    steady: dict[str, Any],
    memory: float,
    rules: dict[str, Any],
    proofs: dict[str, Any],
    *,
    quick: bool,
) -> dict[str, Any]:
    """Everything measured; rates are messages a second, medians of the rounds."""
    accepts = {name: round(figures.median(f"accept.{name}")) for name in ("resting", "working", "bare", "durable")}
    return {
        "machine": machine,
        "quick": quick,
        "accepts": {
            **accepts,
            "ratio": round(figures.ratio("accept.resting", "accept.bare"), 2),
            "ratio_durable": round(figures.ratio("accept.resting", "accept.durable"), 2),
            "ratio_working": round(figures.ratio("accept.working", "accept.bare"), 2),
        },
        **{kind: _walk(figures, kind) for kind, _ in WALKS},
        "steady": steady,
        "memory_mb": round(memory),
        "validate": rules,
        "evidence": proofs,
        "rounds": {name: [round(value, 3) for value in values] for name, values in figures.values.items()},
    }


def _walk(figures: Figures, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {name: round(figures.median(f"{kind}.{name}")) for name in ("bus", "rival", "script", "memory", "accepting")}
    found["ratio_rival"] = round(figures.ratio(f"{kind}.bus", f"{kind}.rival"), 2)
    found["ratio"] = round(figures.ratio(f"{kind}.bus", f"{kind}.script"), 2)
    found["ratio_memory"] = round(figures.ratio(f"{kind}.bus", f"{kind}.memory"), 2)
    for name in ("cpu", "commits", "script-cpu", "rival-cpu"):
        found[name.replace("-", "_")] = round(figures.median(f"{kind}.{name}"), 3)
    found["threads"] = {role: round(figures.median(f"{kind}.threads.{role}"), 3) for role in ROLES.values()}
    return found


def table(found: dict[str, Any]) -> str:
    """Markdown that reads well as plain text too."""
    about = found["machine"]
    lines = [
        f"# Benchmark of {about['date'][:10]}",
        "",
        f"{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB; {about['system']}; revision {about['revision']}.",
        f"Python {about['python']}, SQLite {about['sqlite']}; load of the machine before the run: {about['load_before']}.",
        "Medians of interleaved rounds; a ratio is the median of the rounds' own ratios.",
        "",
        *_accepting(found["accepts"]),
        "",
        *_walking(found),
        "",
        *_costing(found),
        "",
        *_steady(found["steady"]),
        f"Resident memory at the end: {found['memory_mb']} MB.",
        "",
        *evidence.rows(found["evidence"]),
        "",
        *checking.rows(found["validate"]),
    ]
    return "\n".join(lines) + "\n"


def _accepting(accepts: dict[str, Any]) -> list[str]:
    """What the door takes."""
    return [
        "| accepts a second through HTTP | rate | of the empty handler | aim |",
        "|---|---:|---:|---:|",
        f"| empty handler | {accepts['bare']} | 1.00 | |",
        f"| bare group commit (the door alone against it: {accepts['ratio_durable']:.2f}, aim 0.56) | {accepts['durable']} | | |",
        f"| durable, the door alone | {accepts['resting']} | {accepts['ratio']:.2f} | 0.50 |",
        f"| durable, the engine at work in the same process | {accepts['working']} | {accepts['ratio_working']:.2f} | |",
    ]


def _walking(found: dict[str, Any]) -> list[str]:
    """How fast each walk goes, beside its rivals."""
    lines = [
        "| messages a second, to the last effect | bus | rival, group commit | ratio | aim | script, door | ratio | in memory | ratio |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, title in WALKS:
        walk = found[kind]
        rates = [f"{walk[name]} | {walk[ratio]:.2f}" for name, ratio in (("script", "ratio"), ("memory", "ratio_memory"))]
        lines.append(f"| {title} | {walk['bus']} | {walk['rival']} | {walk['ratio_rival']:.2f} | {AIMS[kind]} | {' | '.join(rates)} |")
    return lines


def _costing(found: dict[str, Any]) -> list[str]:
    """What a message costs, in all and by thread."""
    cpus, shown = ("cpu", "rival_cpu", "script_cpu", "commits"), list(dict.fromkeys(ROLES.values()))
    return [
        "| per message, under full load | CPU ms of the bus | of the rival | of the script | commits (fsyncs) |",
        "|---|---:|---:|---:|---:|",
        *(f"| {title} | {' | '.join(format(found[k][name], '.2f') for name in cpus)} |" for k, title in WALKS),
        "",
        f"| CPU ms per message, by thread | {' | '.join(shown)} |",
        f"|---|{'---:|' * len(shown)}",
        *(f"| {title} | {' | '.join(format(found[k]['threads'][role], '.2f') for role in shown)} |" for k, title in WALKS),
    ]


def _steady(steady: dict[str, Any]) -> list[str]:
    """How long a message takes while few come."""
    return [
        "| at 100 messages a second | p50 ms | p99 ms |",
        "|---|---:|---:|",
        f"| to the reply after the delivery, in a young store (aim 4, 7) | {steady['young_ms']['p50']} | {steady['young_ms']['p99']} |",
        f"| the same, after all of the above | {steady['replied_ms']['p50']} | {steady['replied_ms']['p99']} |",
        f"| to the 202, after all of the above | {steady['accepted_ms']['p50']} | {steady['accepted_ms']['p99']} |",
        "",
        f"At that rate {steady['cpu_ms']:.2f} ms of CPU and {steady['commits']:.2f} commits per message.",
        f"Whatever program works here a hundred times a second takes {steady['rested']:.1f} times the CPU of one that never pauses.",
    ]


def write(found: dict[str, Any], folder: Path) -> Path:
    """The results of a whole run; returns the JSON file."""
    return keep("", found, table(found), folder)


def keep(what: str, found: dict[str, Any], text: str, folder: Path) -> Path:
    """Two files named by date, hour and what was measured; returns the JSON one."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "-".join([found["machine"]["date"][:16].replace(":", ""), *([what] if what else [])])
    path = folder / f"{name}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    path.with_suffix(".md").write_text(text, "utf-8")
    return path


def profile_table(shares: list[Share]) -> str:
    """CPU milliseconds per message, by role and by function."""
    lines = [f"CPU per message, profiled: {sum(share.total for share in shares):.2f} ms"]
    for share in shares:
        lines += ["", f"{share.role}: {share.total:.3f} ms", "  with callees (ours)                                            own time"]
        for whole, own in zip(share.whole, share.own, strict=False):
            lines.append(f"  {whole.whole:6.3f} {whole.name[:52]:<54} {own.own:6.3f} {own.name[:60]}")
    return "\n".join(lines)
