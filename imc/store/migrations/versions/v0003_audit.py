"""The audit, and triggers that let nobody change it.

What a migration makes is written out here and never changes again; imc.store.schema says how things stand now.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
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
SECONDS = sa.Float(53).with_variant(mysql.DOUBLE(), "mysql", "mariadb")

# Deleted is what lies before the id that imc_meta has under this key, and nothing else.
SQLITE = (
    "CREATE TRIGGER IF NOT EXISTS imc_audit_no_update BEFORE UPDATE ON imc_audit "
    "BEGIN SELECT RAISE(ABORT, 'imc_audit: rows are never changed'); END",
    "CREATE TRIGGER IF NOT EXISTS imc_audit_no_delete BEFORE DELETE ON imc_audit WHEN OLD.id >= "
    "COALESCE((SELECT CAST(value AS INTEGER) FROM imc_meta WHERE \"key\" = 'audit_kept_from'), 0) "
    "BEGIN SELECT RAISE(ABORT, 'imc_audit: rows are deleted by age only'); END",
)
MYSQL = (
    "DROP TRIGGER IF EXISTS imc_audit_no_update",
    "DROP TRIGGER IF EXISTS imc_audit_no_delete",
    "CREATE TRIGGER imc_audit_no_update BEFORE UPDATE ON imc_audit FOR EACH ROW "
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'imc_audit: rows are never changed'",
    "CREATE TRIGGER imc_audit_no_delete BEFORE DELETE ON imc_audit FOR EACH ROW BEGIN "
    "IF OLD.id >= (SELECT COALESCE(MAX(CAST(value AS UNSIGNED)), 0) FROM imc_meta "
    "WHERE `key` = 'audit_kept_from') THEN "
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'imc_audit: rows are deleted by age only'; END IF; END",
)
POSTGRESQL = (
    "CREATE OR REPLACE FUNCTION imc_audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "IF TG_OP = 'DELETE' THEN "
    "IF OLD.id < COALESCE((SELECT CAST(value AS BIGINT) FROM imc_meta WHERE key = 'audit_kept_from'), 0) THEN "
    "RETURN OLD; END IF; "
    "RAISE EXCEPTION 'imc_audit: rows are deleted by age only'; END IF; "
    "RAISE EXCEPTION 'imc_audit: rows are never changed'; END $$",
    "DROP TRIGGER IF EXISTS imc_audit_guard ON imc_audit",
    "DROP TRIGGER IF EXISTS imc_audit_no_truncate ON imc_audit",
    "CREATE TRIGGER imc_audit_guard BEFORE UPDATE OR DELETE ON imc_audit "
    "FOR EACH ROW EXECUTE FUNCTION imc_audit_guard()",
    "CREATE TRIGGER imc_audit_no_truncate BEFORE TRUNCATE ON imc_audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION imc_audit_guard()",
)


def upgrade() -> None:
    # MySQL commits each table for itself: a migration that was cut off finds some of it made.
    op.create_table(
        "imc_audit",
        sa.Column("id", BIG_KEY, primary_key=True, autoincrement=False),
        sa.Column("created", SECONDS, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("via", sa.String(64), nullable=False),
        sa.Column("act", sa.String(64), nullable=False),
        sa.Column("room", sa.String(255), nullable=False),
        sa.Column("user", sa.String(255), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("result", sa.String(255), nullable=False),
        if_not_exists=True,
        **EXACT,
    )
    for column in ("room", "user", "actor"):
        name = f"imc_audit_{column}_idx"
        if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("imc_audit")}:
            op.create_index(name, "imc_audit", [column, "id"])
    kind = op.get_bind().dialect.name
    if kind in ("mysql", "mariadb"):
        _guard_mysql()
    else:
        for statement in SQLITE if kind == "sqlite" else POSTGRESQL:
            op.get_bind().exec_driver_sql(statement)


def _guard_mysql() -> None:
    """Without the right to make triggers (TRIGGER; with a binary log also log_bin_trust_function_creators) go on."""
    try:
        for statement in MYSQL:
            op.get_bind().exec_driver_sql(statement)
    except sa.exc.DBAPIError as error:
        config = op.get_context().config
        assert config is not None
        notes = config.attributes["notes"]
        notes.append(f"imc_audit is not guarded against changes by others: the triggers were refused: {error.orig}")
