"""Copies that wait for their recipient, the log of room messages, settings of single rooms.

What a migration makes is written out here and never changes again; imc.store.schema says how things stand now.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

EXACT = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
BYTES = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
SECONDS = sa.Float(53).with_variant(mysql.DOUBLE(), "mysql", "mariadb")


def upgrade() -> None:
    # MySQL commits each table for itself: a migration that was cut off finds some of them made.
    op.create_table(
        "imc_waiting",
        sa.Column("username", sa.String(64), primary_key=True),
        sa.Column("domain", sa.String(64), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("created", SECONDS, nullable=False),
        sa.Column("expires", SECONDS, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("changed", SECONDS, nullable=False),
        if_not_exists=True,
        **EXACT,
    )
    op.create_table(
        "imc_messages",
        sa.Column("room_user", sa.String(64), primary_key=True),
        sa.Column("room_domain", sa.String(64), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("domain", sa.String(64), nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("body", BYTES, nullable=False),
        sa.Column("created", SECONDS, nullable=False),
        if_not_exists=True,
        **EXACT,
    )
    op.create_table(
        "imc_room_settings",
        sa.Column("room_user", sa.String(64), primary_key=True),
        sa.Column("room_domain", sa.String(64), primary_key=True),
        sa.Column("replay", sa.Integer, nullable=False),
        sa.Column("keep_messages", sa.Integer, nullable=False),
        sa.Column("keep_days", sa.Integer, nullable=False),
        if_not_exists=True,
        **EXACT,
    )
    for table, name, *columns in (
        ("imc_waiting", "imc_waiting_seq_idx", "seq"),
        ("imc_waiting", "imc_waiting_state_idx", "state", "created"),
        ("imc_messages", "imc_messages_sender_idx", "username", "domain"),
        ("imc_messages", "imc_messages_created_idx", "created"),
    ):
        if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
            op.create_index(name, table, columns)
