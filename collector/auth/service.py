"""API keys: made once, shown once, kept as hashes, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from sqlmodel import col, select

from collector.auth.models import ApiKey
from collector.database import Database
from collector.errors import Conflict, NotFound, Unauthorised
from collector.timestamps import utc_now

_KEY = re.compile(r"zk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(secrets.token_bytes(32)).hexdigest()  # compared with where no such key exists


class Scope(StrEnum):
    """What a key may do; `write` includes `read`."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever holds a good key."""

    key_id: str
    name: str
    scope: Scope

    def may(self, scope: Scope) -> bool:
        """Say whether this key reaches `scope`."""
        return self.scope is Scope.WRITE or scope is Scope.READ


class ApiKeys:
    """The API keys of one collector."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, scope: Scope) -> tuple[ApiKey, str]:
        """Make a key; return what is kept of it and the key itself, which is never seen again."""
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        row = ApiKey(id=key_id, name=name, scope=scope, hash=_hash(secret), created_at=utc_now())
        with self._database.write() as session:
            session.add(row)
        return row, f"zk_{key_id}_{secret}"

    def check(self, presented: str) -> Caller:
        """Return whose key this is. Raises Unauthorised for anything but a good key."""
        match = _KEY.fullmatch(presented)
        if match is None:
            raise Unauthorised("the API key cannot be read; it begins with zk_")
        row = self._find(match[1])
        good = hmac.compare_digest(_hash(match[2]), _NOBODY if row is None else row.hash)
        if row is None or not good or row.revoked_at is not None:
            raise Unauthorised("the API key is unknown or revoked")
        return Caller(row.id, row.name, Scope(row.scope))

    def holder(self, key_id: str) -> Caller:
        """Return whose key has this id, for a session that was opened with it. Raises Unauthorised if revoked."""
        row = self._find(key_id)
        if row is None or row.revoked_at is not None:
            raise Unauthorised("the API key is unknown or revoked")
        return Caller(row.id, row.name, Scope(row.scope))

    def all(self) -> list[ApiKey]:
        """Return all, oldest first."""
        with self._database.read() as session:
            return list(session.exec(select(ApiKey).order_by(col(ApiKey.created_at))))

    def revoke(self, key_id: str) -> ApiKey:
        """End a key. Raises NotFound, Conflict if it has ended already."""
        with self._database.write() as session:
            row = session.get(ApiKey, key_id)
            if row is None:
                raise NotFound(f"there is no API key {key_id}")
            if row.revoked_at is not None:
                raise Conflict(f"the API key {key_id} was revoked at {row.revoked_at}")
            row.revoked_at = utc_now()
        return row

    def _find(self, key_id: str) -> ApiKey | None:
        with self._database.read() as session:
            return session.get(ApiKey, key_id)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
