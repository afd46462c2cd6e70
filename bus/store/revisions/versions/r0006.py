"""Traces: what searches look at."""

from bus.store.revisions import run

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run(6, "up")


def downgrade() -> None:
    run(6, "down")
