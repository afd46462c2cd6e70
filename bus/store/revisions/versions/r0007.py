"""An index of the runs that wait or were cancelled."""

from bus.store.revisions import scripts

revision, down_revision, upgrade, downgrade = scripts(7)
