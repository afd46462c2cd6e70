"""The schema as it was released with 0.1.0."""

from bus.store.revisions import run

revision = "0001"
down_revision = None


def upgrade() -> None:
    run(1, "up")


def downgrade() -> None:
    raise NotImplementedError("there is nothing before the first revision")
