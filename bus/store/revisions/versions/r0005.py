"""Payloads sealed, tokens in the place of business keys."""

from bus.store.revisions import scripts

revision, down_revision, upgrade, downgrade = scripts(5)
