"""What an administrator decided about a terminal, handed to whoever keeps the collector's own chain of events.

One call in the transaction of the decision itself: either both stand or neither. The ledger of the collector's own
statements attaches here; until it does, the log alone keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pydantic import JsonValue
from sqlmodel import Session


class Statements(Protocol):
    """Records the collector's own statements."""

    def __call__(self, session: Session, kind: str, body: Mapping[str, JsonValue]) -> None:
        """Record one in the caller's transaction. `kind`: device.revoked, device.approved"""
        ...


def record_nothing(session: Session, kind: str, body: Mapping[str, JsonValue]) -> None:
    """Keep no statement: the default until the collector has a chain of its own."""
