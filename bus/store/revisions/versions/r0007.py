"""An index of the runs that wait or were cancelled."""

from bus.store.revisions import run

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run(7, "up")


def downgrade() -> None:
    run(7, "down")
