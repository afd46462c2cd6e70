"""Order of acceptance, strikes, and what several processes know of each other."""

from bus.store.revisions import scripts

revision, down_revision, upgrade, downgrade = scripts(2)
