"""Operators: who may log in on the operators' page.

What a migration makes is written out here and never changes again; imc.store.schema says how things stand now.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
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
SECONDS = sa.Float(53).with_variant(mysql.DOUBLE(), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "imc_operators",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("secret", sa.String(255), nullable=False),
        sa.Column("created", SECONDS, nullable=False),
        if_not_exists=True,
        **EXACT,
    )
