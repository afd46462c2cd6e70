"""Payloads sealed, tokens in the place of business keys."""

from bus.store.revisions import run

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run(5, "up")


def downgrade() -> None:
    run(5, "down")
