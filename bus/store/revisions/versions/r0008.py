"""Times of searches to the microsecond in SQLite too."""

from bus.store.revisions import run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run(8, "up")


def downgrade() -> None:
    run(8, "down")
