"""An API key as it is kept: never the key, only its hash."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class ApiKey(SQLModel, table=True):
    """What a program or a person proves itself with."""

    __tablename__ = "api_keys"

    id: str = Field(primary_key=True)
    name: str
    scope: str
    hash: str  # hex SHA-256 of the secret part, which has 256 random bits and so needs no slow hash
    created_at: str
    revoked_at: str | None = None
