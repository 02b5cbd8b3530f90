"""What enrolment authorisations and clearances of an enclosure share: for one terminal, by one key, until a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from evidence.authorisation import EnrolmentAuthorisation, sign_authorisation, verify_authorisation
from evidence.canonical import canonical
from evidence.clearance import Clearance, sign_clearance, verify_clearance
from evidence.envelope import AUTHORISATION_TYPE, CLEARANCE_TYPE, sign
from evidence.errors import (
    AuthorisationError,
    AuthorisationExpired,
    AuthorisationMismatch,
    EvidenceError,
    UnknownKey,
    WrongPayloadType,
)
from evidence.events import Fact
from evidence.keys import SigningKey
from evidence.receipt import Receipt, sign_receipt
from tests.evidence.chains import CHAIN, ed25519_key

COLLECTOR = ed25519_key(9)
EXPIRES, BEFORE, AFTER = "2026-03-01T08:00:00.000Z", "2026-03-01T07:59:59.999Z", "2026-03-01T08:00:00.001Z"


@dataclass(frozen=True)
class Permission:
    """One kind of permission: an example, and how it is signed and read."""

    type: str
    grant: Fact
    signed: Callable[[Any, SigningKey], bytes]
    verify: Callable[..., Fact]  # of the envelope, `device`, `site`, `now`


def _authorisation(data: bytes, device: str = "gate-1", site: str = "harbour", now: str = BEFORE) -> Fact:
    return verify_authorisation(data, COLLECTOR.public, device, site, now)


def _clearance(
    data: bytes, device: str = "gate-1", site: str = "harbour", now: str = BEFORE, chain: str = CHAIN
) -> Fact:
    return verify_clearance(data, COLLECTOR.public, device, site, chain, now)


AUTHORISATION = Permission(
    AUTHORISATION_TYPE,
    EnrolmentAuthorisation(
        id="ab" * 16, worker="E1001", name="张三", device="gate-1", site="harbour", authorised_by="hr", expires=EXPIRES
    ),
    sign_authorisation,
    _authorisation,
)
CLEARANCE = Permission(
    CLEARANCE_TYPE,
    Clearance(
        id="ab" * 16, device="gate-1", site="harbour", chain=CHAIN, opening=7, authorised_by="boss", expires=EXPIRES
    ),
    sign_clearance,
    _clearance,
)


@pytest.fixture(params=[AUTHORISATION, CLEARANCE], ids=["authorisation", "clearance"])
def kind(request: pytest.FixtureRequest) -> Permission:
    one: Permission = request.param
    return one


def test_a_permission_holds_until_its_time(kind: Permission) -> None:
    data = kind.signed(kind.grant, COLLECTOR)
    assert kind.verify(data) == kind.grant
    for now in (EXPIRES, AFTER, "2027-01-01T00:00:00.000Z"):
        with pytest.raises(AuthorisationExpired):
            kind.verify(data, now=now)


@pytest.mark.parametrize("now", ["", "2026", "2026-03-01 07:00:00", "2026-03-01T07:00:00+08:00", "0"])
def test_a_time_that_cannot_be_compared_opens_nothing(kind: Permission, now: str) -> None:
    with pytest.raises(ValueError, match=r"time|pattern"):
        kind.verify(kind.signed(kind.grant, COLLECTOR), now=now)


@pytest.mark.parametrize("other", [{"device": "gate-2"}, {"site": "airport"}])
def test_it_holds_for_its_terminal_and_site_only(kind: Permission, other: dict[str, str]) -> None:
    with pytest.raises(AuthorisationMismatch):
        kind.verify(kind.signed(kind.grant, COLLECTOR), **other)


def test_a_clearance_holds_for_its_chain_only() -> None:
    with pytest.raises(AuthorisationMismatch):
        _clearance(sign_clearance(CLEARANCE.grant, COLLECTOR), chain="ef" * 16)  # type: ignore[arg-type]


def test_flipping_any_byte_is_noticed(kind: Permission) -> None:
    data = kind.signed(kind.grant, COLLECTOR)
    for place in range(len(data)):
        with pytest.raises(EvidenceError):
            kind.verify(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


def test_nobody_else_and_nothing_else_permits(kind: Permission) -> None:
    with pytest.raises(UnknownKey):
        kind.verify(kind.signed(kind.grant, ed25519_key(1)))
    receipt = Receipt(device="gate-1", chain=CHAIN, upto=0, head="ab" * 32, tree_size=1, time=BEFORE)
    other = CLEARANCE if kind is AUTHORISATION else AUTHORISATION
    for stranger in (sign_receipt(receipt, COLLECTOR), other.signed(other.grant, COLLECTOR)):
        with pytest.raises(WrongPayloadType):
            kind.verify(stranger)
    for partly in ({"worker": "E1001"}, {"device": "gate-1"}):
        with pytest.raises(AuthorisationError):
            kind.verify(sign(kind.type, canonical(partly), COLLECTOR).encode())


def test_a_permission_that_names_no_role_makes_a_worker() -> None:
    early = {name: value for name, value in AUTHORISATION.grant.model_dump(mode="json").items() if name != "role"}
    data = sign(AUTHORISATION_TYPE, canonical(early), COLLECTOR).encode()
    assert verify_authorisation(data, COLLECTOR.public, "gate-1", "harbour", BEFORE).role == "worker"
