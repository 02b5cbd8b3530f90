"""Who had a bundle made, about whom, and which file it was: kept for good, so that a leak can be traced."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class MadeBundle(SQLModel, table=True):
    """One bundle that left the collector."""

    __tablename__ = "evidence_bundles"

    id: int | None = Field(default=None, primary_key=True)
    made_at: str
    made_by: str  # name and id of the API key, or who ran the command
    site: str | None
    worker: str | None  # nobody any more once the worker is erased
    since: str
    until: str
    tree_size: int
    sha256: str
    size: int  # bytes
