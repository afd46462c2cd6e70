"""Anchors: who else vouches for a checkpoint."""

from bus.store.revisions import run

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run(4, "up")


def downgrade() -> None:
    run(4, "down")
