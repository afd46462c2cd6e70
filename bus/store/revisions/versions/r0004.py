"""Anchors: who else vouches for a checkpoint."""

from bus.store.revisions import scripts

revision, down_revision, upgrade, downgrade = scripts(4)
