"""Enrolment authorisations: one worker, one terminal, until a time."""

from __future__ import annotations

import pytest

from evidence.authorisation import EnrolmentAuthorisation, sign_authorisation, verify_authorisation
from evidence.canonical import canonical
from evidence.envelope import AUTHORISATION_TYPE, sign
from evidence.errors import (
    AuthorisationError,
    AuthorisationExpired,
    AuthorisationMismatch,
    EvidenceError,
    UnknownKey,
    WrongPayloadType,
)
from evidence.receipt import Receipt, sign_receipt
from tests.evidence.chains import CHAIN, ed25519_key

COLLECTOR = ed25519_key(9)
EXPIRES, BEFORE, AFTER = "2026-03-01T08:00:00.000Z", "2026-03-01T07:59:59.999Z", "2026-03-01T08:00:00.001Z"
GRANT = EnrolmentAuthorisation(
    id="ab" * 16, worker="E1001", name="张三", device="gate-1", site="harbour", authorised_by="hr", expires=EXPIRES
)


def _verify(data: bytes, device: str = "gate-1", site: str = "harbour", now: str = BEFORE) -> EnrolmentAuthorisation:
    return verify_authorisation(data, COLLECTOR.public, device, site, now)


def test_an_authorisation_holds_until_its_time() -> None:
    data = sign_authorisation(GRANT, COLLECTOR)
    assert _verify(data) == GRANT
    for now in (EXPIRES, AFTER, "2027-01-01T00:00:00.000Z"):
        with pytest.raises(AuthorisationExpired):
            _verify(data, now=now)


@pytest.mark.parametrize("now", ["", "2026", "2026-03-01 07:00:00", "2026-03-01T07:00:00+08:00", "0"])
def test_a_time_that_cannot_be_compared_opens_nothing(now: str) -> None:
    with pytest.raises(ValueError, match=r"time|pattern"):
        _verify(sign_authorisation(GRANT, COLLECTOR), now=now)


def test_it_holds_for_its_terminal_and_site_only() -> None:
    data = sign_authorisation(GRANT, COLLECTOR)
    for device, site in (("gate-2", "harbour"), ("gate-1", "airport")):
        with pytest.raises(AuthorisationMismatch):
            _verify(data, device, site)


def test_flipping_any_byte_of_an_authorisation_is_noticed() -> None:
    data = sign_authorisation(GRANT, COLLECTOR)
    for place in range(len(data)):
        with pytest.raises(EvidenceError):
            _verify(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


def test_nobody_else_and_nothing_else_authorises() -> None:
    with pytest.raises(UnknownKey):
        _verify(sign_authorisation(GRANT, ed25519_key(1)))
    receipt = Receipt(device="gate-1", chain=CHAIN, upto=0, head="ab" * 32, tree_size=1, time=BEFORE)
    with pytest.raises(WrongPayloadType):
        _verify(sign_receipt(receipt, COLLECTOR))
    with pytest.raises(AuthorisationError):
        _verify(sign(AUTHORISATION_TYPE, canonical({"worker": "E1001"}), COLLECTOR).encode())


def test_a_permission_that_names_no_role_makes_a_worker() -> None:
    early = {name: value for name, value in GRANT.model_dump(mode="json").items() if name != "role"}
    data = sign(AUTHORISATION_TYPE, canonical(early), COLLECTOR).encode()
    assert _verify(data).role == "worker"
