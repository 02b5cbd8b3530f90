"""The collector carries what terminals send each other: it checks the sender, opens nothing, keeps what it must."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlmodel import select

from collector.devices.models import Device
from collector.ingest.intake import Intake
from collector.ingest.message import Answer, Message
from collector.ingest.models import DeadLetter
from collector.ledger.models import LedgerEntry
from collector.services import build_services
from collector.statements.actor import acting_as
from collector.statements.scribe import Scribe
from collector.timestamps import utc_now
from collector.transfers.models import HeldTransfer, TemplateCopy
from collector.transfers.taking import KEPT_PER_SENDER
from evidence.envelope import EVENT_TYPE, Envelope, sign
from evidence.events import Kind
from evidence.keys import Ed25519Key
from evidence.topics import Leaf
from evidence.transfer import PeerCard, Transfer, TransferAnswer, sign_answer, sign_card, sign_transfer
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal
from tests.collector.test_erasure import ENROLLED, whole

pytestmark = pytest.mark.both_databases

NEVER = "2099-01-01T00:00:00.000Z"


@pytest.fixture
def gates(bench: Bench) -> Iterator[tuple[Terminal, Terminal]]:
    one, two = Terminal("gate-1"), Terminal("gate-2")
    bench.register(one, two)
    yield one, two


def take(bench: Bench, terminal: Terminal, *messages: bytes) -> list[Answer]:
    """What the collector publishes after these came from a terminal."""
    topic = terminal.topic(Leaf.TRANSFER)
    return bench.intake.admit([Message(topic, data, utc_now()) for data in messages])


def transfer(sender: Terminal, recipient: Terminal, **changes: object) -> bytes:
    fields: dict[str, object] = {
        "site": "east",
        "sender": sender.device,
        "sender_key": sender.key.public.id,
        "recipient": recipient.device,
        "recipient_key": recipient.key.public.id,
        "transfer_key": "0" * 64,
        "kind": "template",
        "copy_id": "ab" * 16,
        "enrolment": ENROLLED["authorisation"],
        "counter": 1,
        "issued": utc_now(),
        "expires": NEVER,
        "sealed": "c2VhbGVk",
    }
    return sign_transfer(Transfer.model_validate(fields | changes), sender.key)


def answer(sender: Terminal, recipient: Terminal, message: bytes, state: str = "held") -> bytes:
    fields = {
        "site": "east",
        "sender": sender.device,
        "recipient": recipient.device,
        "recipient_key": recipient.key.public.id,
        "message": Envelope.decode(message).hash,
        "copy_id": "ab" * 16,
        "state": state,
        "reason": "ok: done",
        "last": 1,
        "issued": utc_now(),
    }
    return sign_answer(TransferAnswer.model_validate(fields), recipient.key)


def card(terminal: Terminal, **changes: object) -> bytes:
    fields = {
        "device": terminal.device,
        "site": "east",
        "key": terminal.key.public.text(),
        "transfer_key": "A" * 43 + "=",
        "issued": utc_now(),
    }
    return sign_card(PeerCard.model_validate(fields | changes), terminal.key)


def held(bench: Bench) -> list[HeldTransfer]:
    with bench.database.read() as session:
        return list(session.exec(select(HeldTransfer).order_by(HeldTransfer.id)))  # type: ignore[arg-type]


def entries(bench: Bench) -> int:
    with bench.database.read() as session:
        return len(session.exec(select(LedgerEntry)).all())


def test_a_message_waits_for_its_terminal_and_its_bytes_go_with_the_answer(
    bench: Bench, gates: tuple[Terminal, Terminal]
) -> None:
    one, two = gates
    before = entries(bench)
    sent = transfer(one, two)
    assert take(bench, one, sent) == []
    assert bench.services.transfers.due() == [Answer("zaigang/v1/east/gate-2/peer", sent)]
    assert bench.services.transfers.due() == []  # on its way; it is sent again later
    said = answer(one, two, sent)
    assert take(bench, two, said) == [Answer("zaigang/v1/east/gate-1/peer", said)]
    (row,) = held(bench)
    assert (row.envelope, row.state) == (b"", "held")
    assert build_services(bench.settings, bench.database, bench.keys).transfers.due() == []
    assert take(bench, one, sent) == [Answer("zaigang/v1/east/gate-1/peer", said)]  # the sender had not heard it
    assert entries(bench) == before and bench.dead() == []  # it is in no ledger


def test_a_newer_message_about_a_copy_takes_the_place_of_the_older(
    bench: Bench, gates: tuple[Terminal, Terminal]
) -> None:
    one, two = gates
    first = transfer(one, two)
    word = transfer(one, two, kind="erase", counter=2, sealed=None, transfer_key=None, reason="erased")
    take(bench, one, first)
    take(bench, one, word)
    take(bench, one, first)  # late
    assert [row.envelope for row in held(bench)] == [word]
    assert [one.payload for one in bench.services.transfers.due()] == [word]


def test_only_its_sender_speaks_for_a_terminal(bench: Bench, gates: tuple[Terminal, Terminal]) -> None:
    one, two = gates
    mine = Ed25519Key.generate()
    forged = replace(one, key=mine)
    for topic_of, data, code in [
        (two, transfer(one, two), "wrong_topic"),
        (one, transfer(one, two, site="west"), "wrong_topic"),
        (one, transfer(forged, two), "unknown_key"),
        (one, card(forged), "unknown_key"),
        (one, answer(two, forged, transfer(two, one)), "unknown_key"),
        (one, card(two), "wrong_topic"),
        (one, b"nonsense", "not_json"),
        (one, one.seal(one.event("device.enrolled", {})), "transfer"),
    ]:
        assert take(bench, topic_of, data) == []
        assert bench.dead()[0] == code, code
    assert held(bench) == []
    with bench.database.read() as session:
        contents = [letter.content for letter in session.exec(select(DeadLetter))]
    assert all(b"sealed" not in content and b"c2VhbGVk" not in content for content in contents)
    bench.services.devices.revoke("gate-1")
    take(bench, one, transfer(one, two))
    assert held(bench) == [] and bench.dead()[0] == "revoked_device"


def test_a_rotated_key_speaks_from_the_batch_that_brings_it(bench: Bench, gates: tuple[Terminal, Terminal]) -> None:
    one, two = gates
    bench.offer(one, one.enrol())
    after = Ed25519Key.generate()
    body = {"previous": one.key.public.text(), "key": after.public.text(), "reason": "planned"}
    event = one.event(Kind.DEVICE_KEY_ROTATED, body)
    rotation = sign(EVENT_TYPE, event.payload(), one.key, after).encode()
    old = transfer(one, two, counter=1)
    one.key = after
    new = transfer(one, two, counter=2)
    bench.intake.admit(
        [Message(one.topic(Leaf.TRANSFER), new, utc_now()), Message(one.event_topic, rotation, utc_now())]
    )
    assert [row.envelope for row in held(bench)] == [new]
    take(bench, one, old)
    assert bench.dead() == ["unknown_key"]


def test_cards_are_shown_to_every_other_terminal_of_the_site(bench: Bench, gates: tuple[Terminal, Terminal]) -> None:
    one, two = gates
    far = Terminal("gate-9", "west")
    bench.register(far)
    elsewhere = card(far, site="west")
    take(bench, far, elsewhere)
    first, second = card(one), card(two)
    assert take(bench, one, first) == []
    assert take(bench, two, second) == [
        Answer("zaigang/v1/east/gate-1/peer", second),
        Answer("zaigang/v1/east/gate-2/peer", first),
    ]
    assert take(bench, two, second) == [Answer("zaigang/v1/east/gate-2/peer", first)]  # the others have it


def test_a_sender_that_was_away_hears_what_was_refused_or_is_gone_when_it_shows_its_card(
    bench: Bench, gates: tuple[Terminal, Terminal]
) -> None:
    one, two = gates
    sent = transfer(one, two)
    said = answer(one, two, sent, "gone")
    take(bench, one, sent)
    take(bench, two, said)
    assert take(bench, one, card(one)) == [Answer("zaigang/v1/east/gate-1/peer", said)]


def test_what_waits_is_bounded_and_ends(
    bench: Bench, gates: tuple[Terminal, Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = gates
    assert KEPT_PER_SENDER >= 1000
    monkeypatch.setattr("collector.transfers.taking.KEPT_PER_SENDER", 3)
    for number in range(5):
        take(bench, one, transfer(one, two, copy_id=f"{number:032x}"))
    assert len(held(bench)) == 3 and set(bench.dead()) == {"too_many_transfers"}
    take(bench, two, transfer(two, one, expires="2020-01-01T00:00:00.000Z"))
    services = build_services(bench.settings, bench.database, bench.keys)
    assert len(services.transfers.due()) == 3
    assert {row.sender for row in held(bench)} == {"gate-1"}


def test_a_terminal_that_is_away_or_revoked_is_sent_nothing(bench: Bench, gates: tuple[Terminal, Terminal]) -> None:
    one, two = gates
    status = '{"device":"gate-2","site":"east","state":"offline","time":"2026-11-22T00:00:00.000Z"}'
    bench.intake.admit([Message(two.topic(Leaf.STATUS), status.encode(), utc_now())])
    take(bench, one, transfer(one, two))
    assert bench.services.transfers.due() == []
    bench.intake.admit([Message(two.topic(Leaf.STATUS), status.replace("offline", "online").encode(), utc_now())])
    assert len(bench.services.transfers.due()) == 1
    bench.services.devices.revoke("gate-2")
    assert build_services(bench.settings, bench.database, bench.keys).transfers.due() == []


def test_what_a_revoked_terminal_had_sent_is_passed_on_to_nobody_and_goes(
    bench: Bench, gates: tuple[Terminal, Terminal]
) -> None:
    one, two = gates
    take(bench, one, transfer(one, two))
    mine = transfer(two, one, copy_id="ef" * 16)
    take(bench, two, mine)
    bench.services.devices.revoke("gate-1")
    assert [row.sender for row in held(bench)] == ["gate-2"]
    with bench.database.write() as session:  # as a collector of before this was kept has it
        session.get_one(Device, "gate-1").revoked_at = None
    take(bench, one, transfer(one, two))
    with bench.database.write() as session:
        session.get_one(Device, "gate-1").revoked_at = utc_now()
    assert len(held(bench)) == 2
    assert build_services(bench.settings, bench.database, bench.keys).transfers.due() == []


def test_erasing_a_worker_removes_what_waits_and_tells_every_terminal_that_has_a_copy(
    bench: Bench, gates: tuple[Terminal, Terminal], tmp_path: Path
) -> None:
    one, two = gates
    scribe = Scribe(bench.keys)
    bench.services = build_services(bench.settings, bench.database, bench.keys, scribe)
    bench.intake = Intake(bench.database, bench.keys.receipt, bench.keys.seal, scribe=scribe)
    bench.offer(one, one.enrol(), one.append("worker.enrolled", ENROLLED))
    received = {
        "worker": "E001",
        "copy_id": "ab" * 16,
        "sender": "gate-1",
        "sender_key": one.key.public.id,
        "model": "dlib",
        "frames": 5,
        "enrolment": ENROLLED["authorisation"],
        "enrolled": None,
        "text_version": "t1",
        "language": "zh",
        "consented": utc_now(),
        "message": "cd" * 32,
        "until": NEVER,
    }
    bench.offer(two, two.enrol(), two.append(Kind.TRANSFER_RECEIVED, received))
    with bench.database.read() as session:
        (copy,) = session.exec(select(TemplateCopy)).all()
    assert (copy.worker, copy.device, copy.sender) == ("E001", "gate-2", "gate-1")
    assert whole(bench)
    sealed = base64.b64encode(secrets.token_bytes(600)).decode()
    going = transfer(one, two, sealed=sealed)
    take(bench, one, going)
    staying = transfer(one, two, copy_id="ef" * 16, enrolment="12" * 16)  # of somebody else
    take(bench, one, staying)
    with acting_as("cli:li"):
        done = bench.services.erasures.erase("E001", "all", "asked for", ignore_retention=True)
    assert done.terminals == ("gate-1", "gate-2")
    assert [row.copy_id for row in held(bench)] == ["ef" * 16]
    parts = [going[at : at + 60] for at in range(0, len(going), 60)]
    parts = [part for part in parts if len(part) == 60 and part not in staying]
    assert len(parts) > 10
    for file in tmp_path.rglob("collector.sqlite*"):
        assert not any(part in file.read_bytes() for part in parts)
    with bench.database.read() as session:
        assert session.exec(select(TemplateCopy)).all() == []
    assert whole(bench)
