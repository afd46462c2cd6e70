"""Order of acceptance, strikes, and what several processes know of each other."""

from bus.store.revisions import run

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run(2, "up")


def downgrade() -> None:
    run(2, "down")
