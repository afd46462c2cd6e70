"""Replay: an auditor's act without effects. Runs are recomputed from the log under the rules they had, and compared with what was recorded.

::

    evidence   what is needed of the log: from a store (pages, read only), or from any records, payloads and rules at hand
    recount    one run recomputed and compared: its `Verdict`
    places     file:line:column of a step in the version of the rules that the run had
    guard      nothing leaves this process

It runs in a process of its own (`bus replay`), reads no secret and calls no adapter.
"""
