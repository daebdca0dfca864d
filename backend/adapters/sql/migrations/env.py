"""Alembic's environment: the connection is handed over by `backend.adapters.sql.store`, never read from a file."""

from alembic import context

from backend.adapters.sql.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
