"""Indexes for the runs of a route, and for records of seldom kinds."""

from bus.store.revisions import scripts

revision, down_revision, upgrade, downgrade = scripts(9)
