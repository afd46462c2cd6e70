"""Traces: what searches look at."""

from bus.store.revisions import scripts

revision, down_revision, upgrade, downgrade = scripts(6)
