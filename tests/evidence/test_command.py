"""Commands: signed, for one terminal, in rising order, until a time."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from evidence.canonical import canonical
from evidence.command import Command, SpotCheckOrder, read_command, require_timely, sign_command
from evidence.envelope import COMMAND_TYPE, sign
from evidence.errors import (
    CommandError,
    CommandExpired,
    CommandMismatch,
    CommandReplayed,
    EvidenceError,
    UnknownKey,
    WrongPayloadType,
)
from evidence.receipt import Receipt, sign_receipt
from tests.evidence.chains import CHAIN, ed25519_key

COLLECTOR = ed25519_key(9)
EXPIRES, BEFORE = "2026-03-01T08:00:00.000Z", "2026-03-01T07:59:59.999Z"
ORDER = Command(
    id="cd" * 16,
    device="gate-1",
    site="harbour",
    counter=7,
    action="spot_check",
    body={"worker": "E1001", "minutes": 5},
    issued_by="hr",
    issued="2026-03-01T07:50:00.000Z",
    expires=EXPIRES,
)


def _read(data: bytes, device: str = "gate-1", site: str = "harbour") -> Command:
    return read_command(data, COLLECTOR.public, device, site)


def test_a_command_reads_as_it_was_signed() -> None:
    command = _read(sign_command(ORDER, COLLECTOR))
    assert command == ORDER
    assert SpotCheckOrder.model_validate(command.body) == SpotCheckOrder(worker="E1001", minutes=5)


def test_a_command_holds_until_its_time_and_only_in_rising_order() -> None:
    require_timely(ORDER, 6, BEFORE)
    for now in (EXPIRES, "2026-03-01T08:00:00.001Z", "2027-01-01T00:00:00.000Z"):
        with pytest.raises(CommandExpired):
            require_timely(ORDER, 6, now)
    for last in (7, 8, 10**9):
        with pytest.raises(CommandReplayed):
            require_timely(ORDER, last, BEFORE)


@pytest.mark.parametrize("now", ["", "2026", "2026-03-01 07:00:00", "2026-03-01T07:00:00+08:00", "0"])
def test_a_time_that_cannot_be_compared_lets_nothing_through(now: str) -> None:
    with pytest.raises(ValueError, match="String should match"):
        require_timely(ORDER, 6, now)


def test_a_command_for_another_terminal_or_site_is_refused() -> None:
    data = sign_command(ORDER, COLLECTOR)
    for device, site in (("gate-2", "harbour"), ("gate-1", "airport")):
        with pytest.raises(CommandMismatch):
            _read(data, device, site)


def test_only_the_collectors_own_command_counts() -> None:
    with pytest.raises(UnknownKey):
        _read(sign_command(ORDER, ed25519_key(1)))
    receipt = Receipt(device="gate-1", chain=CHAIN, upto=1, head="0" * 64, tree_size=2, time=EXPIRES)
    with pytest.raises(WrongPayloadType):
        _read(sign_receipt(receipt, COLLECTOR))
    with pytest.raises(CommandError):
        _read(sign(COMMAND_TYPE, canonical({"device": "gate-1"}), COLLECTOR).encode())


def test_any_changed_byte_is_found() -> None:
    data = sign_command(ORDER, COLLECTOR)
    for at in range(0, len(data), 3):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(EvidenceError):
            _read(bytes(changed))


@pytest.mark.parametrize("minutes", [0, -1, 61, 2.5, "5", True, None])
def test_a_spot_check_gives_a_sensible_time(minutes: object) -> None:
    with pytest.raises(ValidationError):
        SpotCheckOrder.model_validate({"worker": "E1001", "minutes": minutes})


def test_a_counter_begins_at_one() -> None:
    with pytest.raises(ValidationError):
        ORDER.model_validate({**ORDER.model_dump(), "counter": 0})
