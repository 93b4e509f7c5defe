"""Run by Alembic: migrate on the connection that `imc.store.migrations` hands over."""

from alembic import context

from imc.store.migrations import VERSION_TABLE

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=attributes["names"].metadata,
    version_table=VERSION_TABLE,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
