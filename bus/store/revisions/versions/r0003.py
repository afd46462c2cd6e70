"""The log's Merkle tree, its checkpoints, and receipts."""

from bus.store.revisions import scripts

revision, down_revision, upgrade, downgrade = scripts(3)
