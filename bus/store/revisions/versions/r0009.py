"""An index for the runs of a route."""

from bus.store.revisions import run

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run(9, "up")


def downgrade() -> None:
    run(9, "down")
