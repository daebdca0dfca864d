"""Alembic's environment: the connection is handed over by `backend.adapters.store`, never read from a file."""

from alembic import context

from backend.adapters.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
