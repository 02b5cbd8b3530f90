"""Clearances of an opened enclosure: one opening of one terminal's chain, until a time."""

from __future__ import annotations

import pytest

from evidence.authorisation import EnrolmentAuthorisation, sign_authorisation
from evidence.canonical import canonical
from evidence.clearance import Clearance, sign_clearance, verify_clearance
from evidence.envelope import CLEARANCE_TYPE, sign
from evidence.errors import (
    AuthorisationError,
    AuthorisationExpired,
    AuthorisationMismatch,
    EvidenceError,
    UnknownKey,
    WrongPayloadType,
)
from tests.evidence.chains import CHAIN, ed25519_key

COLLECTOR = ed25519_key(9)
EXPIRES, BEFORE, AFTER = "2026-03-01T08:00:00.000Z", "2026-03-01T07:59:59.999Z", "2026-03-01T08:00:00.001Z"
GRANT = Clearance(
    id="ab" * 16, device="gate-1", site="harbour", chain=CHAIN, opening=7, authorised_by="boss", expires=EXPIRES
)


def _verify(
    data: bytes, *, device: str = "gate-1", site: str = "harbour", chain: str = CHAIN, now: str = BEFORE
) -> Clearance:
    return verify_clearance(data, COLLECTOR.public, device, site, chain, now)


def test_a_clearance_holds_until_its_time() -> None:
    data = sign_clearance(GRANT, COLLECTOR)
    assert _verify(data) == GRANT
    for now in (EXPIRES, AFTER, "2027-01-01T00:00:00.000Z"):
        with pytest.raises(AuthorisationExpired):
            _verify(data, now=now)


@pytest.mark.parametrize("now", ["", "2026", "2026-03-01T07:00:00+08:00", "0"])
def test_a_time_that_cannot_be_compared_clears_nothing(now: str) -> None:
    with pytest.raises(ValueError, match=r"time|pattern"):
        _verify(sign_clearance(GRANT, COLLECTOR), now=now)


@pytest.mark.parametrize("other", [{"device": "gate-2"}, {"site": "airport"}, {"chain": "ef" * 16}])
def test_it_holds_for_its_terminal_site_and_chain_only(other: dict[str, str]) -> None:
    with pytest.raises(AuthorisationMismatch):
        _verify(sign_clearance(GRANT, COLLECTOR), **other)


def test_flipping_any_byte_of_a_clearance_is_noticed() -> None:
    data = sign_clearance(GRANT, COLLECTOR)
    for place in range(len(data)):
        with pytest.raises(EvidenceError):
            _verify(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


def test_nobody_else_and_nothing_else_clears() -> None:
    with pytest.raises(UnknownKey):
        _verify(sign_clearance(GRANT, ed25519_key(1)))
    enrolment = EnrolmentAuthorisation(
        id="ab" * 16, worker="E1", name="x", device="gate-1", site="harbour", authorised_by="hr", expires=EXPIRES
    )
    with pytest.raises(WrongPayloadType):
        _verify(sign_authorisation(enrolment, COLLECTOR))
    with pytest.raises(AuthorisationError):
        _verify(sign(CLEARANCE_TYPE, canonical({"device": "gate-1"}), COLLECTOR).encode())
