"""A signed permission from the collector: this worker may be enrolled at this terminal, once, until then.

It keeps a worker from enrolling a friend's face under his own badge. Single use is the terminal's part: it
remembers the ids it has spent.
"""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from evidence.canonical import canonical, parse_canonical
from evidence.envelope import AUTHORISATION_TYPE, Envelope, sign
from evidence.errors import AuthorisationError, AuthorisationExpired, AuthorisationMismatch
from evidence.events import Fact, Hex128, Name, Role, Text, UtcTime, WorkerCode
from evidence.keys import PublicKey, SigningKey

_utc_time: TypeAdapter[str] = TypeAdapter(UtcTime)


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
    return sign(AUTHORISATION_TYPE, canonical(authorisation.model_dump(mode="json")), key).encode()


def verify_authorisation(data: bytes, key: PublicKey, device: str, site: str, now: str) -> EnrolmentAuthorisation:
    """Read an authorisation that holds for this terminal at `now` (RFC 3339 UTC with milliseconds).

    Raises an EncodingError, a SignatureError, AuthorisationMismatch or AuthorisationExpired; ValueError if `now` is
    not in that form, for then it could not be compared.
    """
    _utc_time.validate_python(now)
    payload = Envelope.decode(data).verify(key, AUTHORISATION_TYPE)
    try:
        authorisation = EnrolmentAuthorisation.model_validate(parse_canonical(payload))
    except ValidationError as error:
        raise AuthorisationError(
            f"the payload is not an authorisation: {error.error_count()} field(s) wrong"
        ) from error
    if (authorisation.device, authorisation.site) != (device, site):
        raise AuthorisationMismatch(f"the authorisation is for {authorisation.site}/{authorisation.device}")
    if authorisation.expires <= now:  # the fixed-width UTC form sorts as time does
        raise AuthorisationExpired(f"the authorisation ended at {authorisation.expires}; ask for a new one")
    return authorisation
