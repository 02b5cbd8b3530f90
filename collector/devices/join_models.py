"""Claims, requests to join and transport certificates, as they are kept."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class Claim(SQLModel, table=True):
    """A one-time code for one terminal of one site; of its secret only the hash is kept."""

    __tablename__ = "claims"

    secret_hash: str = Field(primary_key=True)  # hex SHA-256
    site: str = Field(foreign_key="sites.name")
    device: str
    made_by: str
    made_at: str
    expires: str
    used_at: str | None = None
    join: str | None = None  # the request that used it


class JoinRequest(SQLModel, table=True):
    """A terminal that has shown a good code and waits for an administrator, or did."""

    __tablename__ = "join_requests"

    id: str = Field(primary_key=True)
    site: str = Field(foreign_key="sites.name")
    device: str = Field(index=True)
    key: str  # PublicKey.text()
    key_id: str
    csr: str  # base64 of the DER request
    software: str
    state: str  # waiting, approved, denied
    asked_at: str
    decided_at: str | None = None
    decided_by: str | None = None


class TransportCertificate(SQLModel, table=True):
    """A certificate under which a terminal connects to the broker."""

    __tablename__ = "transport_certificates"

    serial: str = Field(primary_key=True)  # hex
    device: str = Field(foreign_key="devices.name", index=True)
    key_hash: str = Field(index=True)  # hex SHA-256 of the SubjectPublicKeyInfo
    issued_at: str
    expires: str
    pem: str
