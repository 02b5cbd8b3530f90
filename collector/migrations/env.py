"""Alembic's entry: runs the migrations on the connection, and in the transaction, that `collector.schema` gives it."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString

import collector.schema  # noqa: F401  every table is registered there


def _render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write SQLModel's text type in SQLAlchemy's words, so that a migration stands without SQLModel."""
    return "sa.String()" if kind == "type" and isinstance(item, AutoString) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite changes a column only by copying its table
    render_item=_render,
    transactional_ddl=True,  # either the whole way or nothing
)
with context.begin_transaction():
    context.run_migrations()
