"""Times of searches to the microsecond in SQLite too."""

from bus.store.revisions import scripts

revision, down_revision, upgrade, downgrade = scripts(8)
