"""SQLite deletes what REPLACE takes the place of without asking a trigger: a row of the audit that is there stays.

What a migration makes is written out here and never changes again; imc.store.schema says how things stand now.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# IGNORE, not ABORT: a transaction of imc may be tried twice.
SQLITE = (
    "CREATE TRIGGER IF NOT EXISTS imc_audit_no_replace BEFORE INSERT ON imc_audit "
    "WHEN EXISTS (SELECT 1 FROM imc_audit WHERE id = NEW.id) BEGIN SELECT RAISE(IGNORE); END"
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.get_bind().exec_driver_sql(SQLITE)
