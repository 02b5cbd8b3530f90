"""Messages between terminals, and where copies of templates lie."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "transfer_cards",
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device"],
            ["devices.name"],
        ),
        sa.PrimaryKeyConstraint("device"),
    )
    op.create_table(
        "held_transfers",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("copy_id", sa.String(), nullable=False),
        sa.Column("enrolment", sa.String(), nullable=False),
        sa.Column("counter", _BIG, nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("received_at", sa.String(), nullable=False),
        sa.Column("expires", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sender"],
            ["devices.name"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message"),
    )
    with op.batch_alter_table("held_transfers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_held_transfers_sender"), ["sender"], unique=False)
        batch_op.create_index(batch_op.f("ix_held_transfers_recipient"), ["recipient"], unique=False)
        batch_op.create_index(batch_op.f("ix_held_transfers_copy_id"), ["copy_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_held_transfers_enrolment"), ["enrolment"], unique=False)

    op.create_table(
        "template_copies",
        sa.Column("leaf_index", _BIG, nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("copy_id", sa.String(), nullable=False),
        sa.Column("time", sa.String(), nullable=False),
        sa.Column("until", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["leaf_index"],
            ["ledger_entries.leaf_index"],
        ),
        sa.PrimaryKeyConstraint("leaf_index"),
    )
    with op.batch_alter_table("template_copies", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_template_copies_worker"), ["worker"], unique=False)
        batch_op.create_index(batch_op.f("ix_template_copies_copy_id"), ["copy_id"], unique=False)
