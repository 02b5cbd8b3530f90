"""A signed permission from the collector: this worker may be enrolled at this terminal, once, until then.

It keeps a worker from enrolling a friend's face under his own badge. Single use is the terminal's part: it
remembers the ids it has spent.
"""

from __future__ import annotations

from evidence.envelope import AUTHORISATION_TYPE
from evidence.errors import AuthorisationError, AuthorisationExpired, AuthorisationMismatch
from evidence.events import Fact, Hex128, Name, Role, Text, UtcTime, WorkerCode
from evidence.keys import PublicKey, SigningKey
from evidence.signed_fact import require_utc, sign_fact, verify_fact


class EnrolmentAuthorisation(Fact):
    """One enrolment of one worker at one terminal."""

    id: Hex128
    worker: WorkerCode
    name: Text  # shown to the worker on the terminal
    device: Name
    site: Name
    authorised_by: Text
    expires: UtcTime
    role: Role = "worker"  # only the collector makes a supervisor; a terminal that does not know the field makes none


def sign_authorisation(authorisation: EnrolmentAuthorisation, key: SigningKey) -> bytes:
    """Return the encoded envelope."""
    return sign_fact(AUTHORISATION_TYPE, authorisation, key)


def verify_authorisation(data: bytes, key: PublicKey, device: str, site: str, now: str) -> EnrolmentAuthorisation:
    """Read an authorisation that holds for this terminal at `now` (RFC 3339 UTC with milliseconds).

    Raises an EncodingError, a SignatureError, AuthorisationMismatch or AuthorisationExpired; ValueError if `now` is
    not in that form, for then it could not be compared.
    """
    require_utc(now)
    authorisation = verify_fact(
        data, key, AUTHORISATION_TYPE, EnrolmentAuthorisation, AuthorisationError, "an authorisation"
    )
    if (authorisation.device, authorisation.site) != (device, site):
        raise AuthorisationMismatch(f"the authorisation is for {authorisation.site}/{authorisation.device}")
    if authorisation.expires <= now:  # the fixed-width UTC form sorts as time does
        raise AuthorisationExpired(f"the authorisation ended at {authorisation.expires}; ask for a new one")
    return authorisation
