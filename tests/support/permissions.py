"""Enrolment authorisations as a collector signs them, for terminals that pin its key."""

from __future__ import annotations

import base64
import secrets

from evidence.authorisation import EnrolmentAuthorisation, sign_authorisation
from evidence.events import Role
from evidence.keys import Ed25519Key

COLLECTOR = Ed25519Key.generate()


def permission(worker: str = "W-1", name: str = "王芳", role: Role = "worker", device: str = "gate-1") -> str:
    """One line as it is handed over, with an id of its own."""
    one = EnrolmentAuthorisation(
        id=secrets.token_hex(16),
        worker=worker,
        name=name,
        device=device,
        site="east",
        authorised_by="HR",
        expires="2099-01-01T00:00:00.000Z",
        role=role,
    )
    return base64.b64encode(sign_authorisation(one, COLLECTOR)).decode()
