"""The schema as it was released with 0.1.0."""

from bus.store.revisions import scripts

revision, down_revision, upgrade, downgrade = scripts(1)
