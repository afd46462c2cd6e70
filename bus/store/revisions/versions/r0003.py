"""The log's Merkle tree, its checkpoints, and receipts."""

from bus.store.revisions import run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run(3, "up")


def downgrade() -> None:
    run(3, "down")
