"""A signed permission from the collector: this opening of this terminal's enclosure is cleared, once, until then.

It names the chain and the seq of the `enclosure.opened` that it answers, so that it clears no other opening, earlier
or later. That the case is closed again, and that the opening is the newest one, is the terminal's part.
"""

from __future__ import annotations

from evidence.envelope import CLEARANCE_TYPE
from evidence.errors import AuthorisationError, AuthorisationExpired, AuthorisationMismatch, InvalidBody
from evidence.events import (
    Counter,
    EnclosureClearedBody,
    Event,
    Fact,
    Hex128,
    Kind,
    Name,
    Text,
    UtcTime,
    Verdict,
    parse_body,
)
from evidence.keys import PublicKey, SigningKey
from evidence.signed_fact import require_utc, sign_fact, verify_fact


class Clearance(Fact):
    """One opening of one terminal that an administrator has looked into."""

    id: Hex128
    device: Name
    site: Name
    chain: Hex128
    opening: Counter  # seq of the enclosure.opened in that chain
    authorised_by: Text
    expires: UtcTime


def sign_clearance(clearance: Clearance, key: SigningKey) -> bytes:
    """Return the encoded envelope."""
    return sign_fact(CLEARANCE_TYPE, clearance, key)


def verify_clearance(data: bytes, key: PublicKey, device: str, site: str, chain: str, now: str) -> Clearance:
    """Read a clearance that holds for this terminal's chain at `now` (RFC 3339 UTC with milliseconds).

    Raises an EncodingError, a SignatureError, AuthorisationMismatch or AuthorisationExpired; ValueError if `now` is
    not in that form, for then it could not be compared.
    """
    require_utc(now)
    clearance = verify_fact(data, key, CLEARANCE_TYPE, Clearance, AuthorisationError, "a clearance")
    if (clearance.device, clearance.site) != (device, site):
        raise AuthorisationMismatch(f"the clearance is for {clearance.site}/{clearance.device}")
    if clearance.chain != chain:
        raise AuthorisationMismatch("the clearance is for another chain of this terminal")
    if clearance.expires <= now:  # the fixed-width UTC form sorts as time does
        raise AuthorisationExpired(f"the clearance ended at {clearance.expires}; ask for a new one")
    return clearance


def opening_after(opening: int | None, event: Event) -> int | None:
    """Return which opening stands after `event`: a new one, none where the event clears this one, else `opening`.

    Raises InvalidBody for a clear that cannot be read.
    """
    if event.kind == Kind.ENCLOSURE_OPENED:
        return event.seq
    if event.kind == Kind.ENCLOSURE_CLEARED:
        body = parse_body(event)
        if isinstance(body, EnclosureClearedBody) and body.opening == opening:
            return None
    return opening


def opening_shown(opening: int | None, event: Event) -> int | None:
    """What `opening_after` returns, for a reader of somebody else's chain: a clear that cannot be read clears nothing.

    An opening counts by its kind alone, whatever a later version says in it.
    """
    try:
        return opening_after(opening, event)
    except InvalidBody:
        return opening


def verified_by_kind(event: Event) -> bool:
    """Say whether an event is a punch that calls itself verified, whatever else of it can be read.

    For bundles, whose other verifiers read no more of a punch; a chain file's check judges only what it can read whole.
    """
    return event.kind in (Kind.PUNCH_RECORDED, Kind.PUNCH_REFUSED) and event.body.get("verdict") == Verdict.VERIFIED
