"""The tables that are imc's alone. Kamailio's are made or adopted after each upgrade (imc.store.migrations.kamailio).

What a migration makes is written out here and never changes again; imc.store.schema says how things stand now.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
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
BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BYTES = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
SECONDS = sa.Float(53).with_variant(mysql.DOUBLE(), "mysql", "mariadb")


def upgrade() -> None:
    # MySQL commits each table for itself: a migration that was cut off finds some of them made.
    op.create_table(
        "imc_invitations",
        sa.Column("room_user", sa.String(64), primary_key=True),
        sa.Column("room_domain", sa.String(64), primary_key=True),
        sa.Column("username", sa.String(64), primary_key=True),
        sa.Column("domain", sa.String(64), primary_key=True),
        sa.Column("invited_by", sa.String(255), nullable=False),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.Column("created", SECONDS, nullable=False),
        if_not_exists=True,
        **EXACT,
    )
    op.create_table(
        "imc_bindings",
        sa.Column("username", sa.String(64), primary_key=True),
        sa.Column("domain", sa.String(64), primary_key=True),
        sa.Column("contact", sa.String(512), primary_key=True),
        sa.Column("q", sa.Integer, nullable=False),
        sa.Column("expires", SECONDS, nullable=False),
        sa.Column("call_id", sa.Text, nullable=False),
        sa.Column("cseq", sa.BigInteger, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("received", sa.Text, nullable=False),
        sa.Column("flow", sa.Text, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.Column("registered", SECONDS, nullable=False),
        if_not_exists=True,
        **EXACT,
    )
    indexes = sa.inspect(op.get_bind()).get_indexes("imc_bindings")
    if "imc_bindings_expires_idx" not in {index["name"] for index in indexes}:
        op.create_index("imc_bindings_expires_idx", "imc_bindings", ["expires"])
    op.create_table(
        "imc_outbox",
        sa.Column("seq", BIG_KEY, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("created", SECONDS, nullable=False),
        sa.Column("payload", BYTES, nullable=False),
        sa.Column("recipients", BYTES, nullable=False),
        sa.UniqueConstraint("id", name="imc_outbox_id_idx"),
        if_not_exists=True,
        sqlite_autoincrement=True,
        **EXACT,
    )
    op.create_table(
        "imc_meta",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("value", sa.String(255), nullable=False),
        if_not_exists=True,
        **EXACT,
    )
