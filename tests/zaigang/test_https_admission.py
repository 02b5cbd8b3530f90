"""Whose batches a collector takes over HTTPS, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.devices.service import NewDevice
from collector.errors import DeliveryRefused
from collector.ingest.terminal_deliveries import TerminalDeliveries
from evidence.delivery import write_batch
from evidence.keys import Ed25519Key
from kiosk.errors import CollectorRefused
from kiosk.https_delivery import PATH
from tests.collector.terminal import Terminal
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.zaigang.gate import Gate, all_of, gates, held, server
from tests.zaigang.joining import Centre


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    one = Centre(tmp_path / "collector", broker_port=free_port())
    yield one
    one.close()


@pytest.fixture
def gate(centre: Centre, tmp_path: Path) -> Iterator[Callable[..., Gate]]:
    with gates(centre, tmp_path / "terminal") as make:
        yield make


def batch(gate: Gate, key: Any = None, device: str = "gate-1", site: str = "east") -> bytes:
    return write_batch(device, site, "a" * 32, all_of(gate), key or gate.key)


@pytest.mark.parametrize(
    ("how", "code", "source"),
    [
        ("unknown", "unknown_device", ""),
        ("another site", "wrong_site", ""),
        ("another key", "unknown_key", ""),
        ("revoked", "revoked_device", "gate-1"),
    ],
)
def test_who_may_not_deliver_is_told_why_and_kept_as_one_dead_letter(
    centre: Centre, gate: Callable[..., Gate], how: str, code: str, source: str
) -> None:
    one = gate()
    one.append(3)
    if how == "revoked":
        centre.services.devices.revoke("gate-1")
    data = {
        "unknown": batch(one, device="gate-7"),
        "another site": batch(one, site="west"),
        "another key": batch(one, Ed25519Key.generate()),
        "revoked": batch(one),
    }[how]
    with centre.serving():
        for _ in range(3):
            with pytest.raises(CollectorRefused):
                server(centre).post(PATH, data)
        if how == "revoked":
            uplink = one.start()
            until(lambda: "was revoked" in uplink.state.reason, "the reason")
            one.stop()
    assert centre.services.ledger.size() == 0 and one.journal.depth == 4
    (letter,) = centre.services.dead_letters.page(None, 100)
    assert (letter.code, letter.source, letter.times >= 3) == (code, source, True)
    assert letter.topic.startswith("https ") and letter.content == all_of(one)[0][:4096]


def test_a_batch_is_taken_as_it_was_signed_or_not_at_all(centre: Centre, gate: Callable[..., Gate]) -> None:
    one = gate()
    one.append(3)
    good = batch(one)
    first, rest = good.split(b"\n", 1)
    changed = {
        "cut": good[:-200],
        "one more": good + b"\n" + all_of(one)[0],
        "in another order": b"\n".join([first, *reversed(rest.split(b"\n"))]),
        "nothing": b"",
        "garbage": b"\xff" * 1000,
        "no first line": rest,
    }
    with centre.serving():
        for name, data in changed.items():
            with pytest.raises(CollectorRefused, match=r"too_large|delivery|not_json|envelope|field") as refused:
                server(centre).post(PATH, data)
            assert str(refused.value), name
        with pytest.raises(CollectorRefused, match="at most 1048576 bytes"):
            server(centre).post(PATH, good + b"\n" * (1 << 20))
        assert centre.services.ledger.size() == 0
        recorded = [server(centre).post(PATH, good) for _ in range(3)]
    assert b'"known":4' in recorded[1] and held(centre, one) == all_of(one)


def test_events_of_another_terminal_in_a_good_batch_are_dead_letters(centre: Centre, gate: Callable[..., Gate]) -> None:
    one, other = gate(), Terminal("gate-2", "east")
    data = write_batch("gate-1", "east", "a" * 32, [*all_of(one), other.enrol(), b"garbage"], one.key)
    with centre.serving():
        said = server(centre).post(PATH, data)
    assert b'"admitted":1' in said and b'"refused":2' in said
    assert {letter.code for letter in centre.services.dead_letters.page(None, 9)} == {"wrong_topic", "not_json"}


def test_a_terminal_that_hurries_too_much_is_told_to_wait(centre: Centre, gate: Callable[..., Gate]) -> None:
    one, now = gate(), [0.0]
    data = batch(one)
    service = TerminalDeliveries(
        centre.database,
        centre.services.deliveries,
        centre.services.terminal_deliveries._gaps,
        centre.services.commands,
        centre.services.terminal_deliveries._showing,
        ticks=lambda: now[0],
    )
    object.__setattr__(centre.services, "terminal_deliveries", service)
    for _ in range(40):
        service.take(data)
    with centre.serving():
        with pytest.raises(CollectorRefused, match="is to wait"):
            server(centre).post(PATH, data)
        now[0] = 0.25
        server(centre).post(PATH, data)
        with pytest.raises(CollectorRefused, match="is to wait"):
            server(centre).post(PATH, data)


def test_a_stranger_uses_up_the_dead_letters_of_one_name_alone(centre: Centre, gate: Callable[..., Gate]) -> None:
    one = gate()
    other = Terminal("gate-2", "east")
    centre.services.devices.add(NewDevice(name="gate-2", site="east", key=other.key.public.text()))
    stranger, take = Ed25519Key.generate(), centre.services.terminal_deliveries.take
    for number in range(100):
        for device in ("gate-7", "gate-2"):
            with pytest.raises(DeliveryRefused):
                take(write_batch(device, "east", f"{number:032x}", [b"noise %d" % number], stranger))
    with pytest.raises(DeliveryRefused) as refused:
        take(batch(one, site="west"))
    assert "east" not in str(refused.value)  # where a terminal stands is nobody's business who has proved nothing
    letters = centre.services.dead_letters.page(None, 500)
    assert [letter.code for letter in letters].count("wrong_site") == 1
    assert len(letters) < 140


def test_a_batch_of_the_key_before_is_refused_once_the_collector_knows_the_next(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    one = gate()
    old = Ed25519Key.from_pem((one.folder / "terminal.pem").read_bytes())
    one.journal.rotate_key("planned: a test")
    with centre.serving():
        one.start()
        until(lambda: one.journal.depth == 0, "receipts")
        with pytest.raises(CollectorRefused, match="not signed by gate-1"):
            server(centre).post(PATH, batch(one, old))
