"""A joined terminal without a broker: real journal, HTTPS and collector; what arrives, and what is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from collector.app import Collector
from collector.devices.service import NewDevice
from collector.identity import load_or_create_keys
from collector.ingest.terminal_deliveries import Brought, TerminalDeliveries
from collector.ledger.fsck import check_ledger
from collector.people.service import NewWorker
from collector.settings import load_settings
from collector.statements.rotation import Rotated, rotate
from collector.statements.scribe import Scribe
from evidence.chain import verify_chain
from evidence.delivery import write_batch
from evidence.events import LogType
from evidence.handover import sign_handover
from evidence.keys import Ed25519Key
from evidence.receipt import Receipt, sign_receipt
from kiosk.clock import SystemClock
from kiosk.errors import CollectorRefused
from kiosk.flow import Backoff, OtherWay
from kiosk.https_delivery import PATH, HttpsDelivery
from kiosk.joined import joined_of
from kiosk.journal import Journal
from kiosk.pinned_https import PinnedServer
from kiosk.settings import KioskSettings
from kiosk.stick import export
from kiosk.terminal_key import TerminalKey
from kiosk.uplink import Uplink
from tests.collector.process import CollectorProcess, command
from tests.collector.terminal import Terminal
from tests.kiosk.small_terminal import small_terminal
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.zaigang.joining import Centre
from tests.zaigang.test_joining import joined
from tests.zaigang.test_membership import WRITTEN

CLOCK = SystemClock()


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    one = Centre(tmp_path / "collector", broker_port=free_port())
    yield one
    one.close()


@dataclass
class Gate:
    """A terminal that has joined; `start` and `stop` as often as one likes."""

    folder: Path
    broker: tuple[str, ...] = ()
    after_s: float = 0.0
    uplink: Uplink | None = None
    commands: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "kiosk.toml").write_text(f'data_dir = "{self.folder}"\n')
        found = KioskSettings.load(self.folder / "kiosk.toml")
        self.settings = KioskSettings.model_validate(found.model_dump() | {"broker": self.broker})
        self.key = TerminalKey(self.settings.key_file)
        self.journal = self._open()

    def _open(self) -> Journal:
        return Journal(self.settings.journal_file, self.key, self.settings.device, self.settings.site, "UTC", CLOCK)

    def reopen(self) -> None:
        """As after a restart."""
        self.stop()
        self.journal.close()
        self.journal = self._open()

    def append(self, count: int, body: dict[str, Any] | None = None) -> None:
        for _ in range(count):
            self.journal.append("test.noted", body or {})
        if self.uplink is not None:
            self.uplink.wake()

    @property
    def delivery(self) -> HttpsDelivery:
        member = joined_of(self.settings)
        assert member is not None
        return HttpsDelivery(member, self.folder, self.key, self.journal, clock_known=lambda: True)

    def start(self) -> Uplink:
        self.uplink = Uplink(
            self.journal,
            self.settings,
            CLOCK,
            backoff=Backoff(0.05, 0.2),
            on_command=self.commands.append,
            https=self.delivery,
            other_way=OtherWay(self.after_s, Backoff(0.05, 0.2), ask_every_s=0.2),
        )
        self.uplink.start()
        return self.uplink

    def stop(self) -> None:
        if self.uplink is not None:
            self.uplink.stop(30)
            self.uplink = None

    def reason(self) -> str:
        return self.uplink.state.reason if self.uplink is not None else ""


@pytest.fixture
def gate(centre: Centre, tmp_path: Path) -> Iterator[Callable[..., Gate]]:
    made: list[Gate] = []

    def make(**changes: Any) -> Gate:
        if not (tmp_path / "terminal" / "joined.toml").exists():
            with centre.serving():
                joined(centre, tmp_path / "terminal")
        made.append(Gate(tmp_path / "terminal", **changes))
        return made[-1]

    yield make
    for one in made:
        one.stop()
        one.journal.close()


def nobody() -> str:
    """A broker's address at which nobody listens."""
    return f"mqtt://127.0.0.1:{free_port()}"


def held(centre: Centre, gate: Gate) -> list[bytes]:
    """The chain as the collector holds it, whole and without a difference."""
    envelopes = list(centre.services.ledger.envelopes("gate-1", gate.journal.head.chain))
    if envelopes:
        assert verify_chain(envelopes, {"gate-1": gate.key.public}).ok
    assert check_ledger(centre.database, centre.keys.seal, centre.services.checkpoints.signer.public).difference is None
    return envelopes


def all_of(gate: Gate) -> list[bytes]:
    return [envelope for _, envelope in gate.journal.range(0, gate.journal.head.seq, 10_000)]


@dataclass
class Between:
    """Stands before the collector's own service and changes what it is told to."""

    real: TerminalDeliveries
    change: Callable[[Brought], Brought] = lambda brought: brought
    taken: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, centre: Centre, change: Callable[[Brought], Brought] = lambda brought: brought) -> Between:
        one = cls(centre.services.terminal_deliveries, change)
        object.__setattr__(centre.services, "terminal_deliveries", one)
        return one

    def take(self, data: bytes) -> Brought:
        self.taken.append(data)
        return self.change(self.real.take(data))


# --- the way


@pytest.mark.parametrize("broker", [(), ("nobody",)], ids=["no broker is set", "no broker answers"])
def test_without_a_broker_every_event_arrives_once_and_is_let_go_by_a_receipt(
    centre: Centre, gate: Callable[..., Gate], broker: tuple[str, ...]
) -> None:
    one = gate(broker=tuple(nobody() for _ in broker))
    one.append(450)
    with centre.serving():
        uplink = one.start()
        until(lambda: one.journal.depth == 0, "receipts for a backlog")
        one.append(1)
        until(lambda: one.journal.depth == 0, "a receipt for one more")
        assert uplink.over_https and not uplink.online
        assert uplink.state.state == ("degraded" if broker else "working")
        assert uplink.state.reason.startswith("https: ")
    assert held(centre, one) == all_of(one)
    assert len(held(centre, one)) == 452


def test_a_broker_that_is_back_takes_over_and_nothing_goes_two_ways(
    centre: Centre, gate: Callable[..., Gate], mosquitto: Mosquitto
) -> None:
    between = Between.of(centre)
    one = gate(broker=(f"mqtt://127.0.0.1:{mosquitto.port}",), after_s=0.3)
    mosquitto.stop()
    one.append(20)
    collector = None
    try:
        with centre.serving():
            uplink = one.start()
            until(lambda: one.journal.depth == 0 and uplink.over_https, "receipts without a broker")
            mosquitto.start()
            collector = Collector(load_settings(data=centre.data, broker=f"mqtt://127.0.0.1:{mosquitto.port}"))
            collector.start()
            until(lambda: uplink.online, "the broker")
            assert not uplink.over_https
            posted = len(between.taken)
            one.append(30)
            until(lambda: one.journal.depth == 0 and uplink.counts["published"] >= 30, "receipts over MQTT")
            assert uplink.state.state == "working" and uplink.state.reason == ""
            assert len(between.taken) == posted
            mosquitto.stop()
            one.append(5)
            until(lambda: one.journal.depth == 0, "receipts without a broker once more")
            assert len(between.taken) > posted
    finally:
        one.stop()
        if collector is not None:
            collector.stop()
    assert held(centre, one) == all_of(one)


def test_a_broker_that_is_only_just_gone_is_waited_for(centre: Centre, gate: Callable[..., Gate]) -> None:
    between = Between.of(centre)
    one = gate(broker=(nobody(),), after_s=3600)
    one.append(3)
    with centre.serving():
        uplink = one.start()
        until(lambda: uplink.state.reason.startswith("offline: 127.0.0.1"), "a broker that does not answer")
    assert between.taken == [] and uplink.state.state == "failed"


def test_a_collector_that_is_away_as_well_costs_nothing_and_the_status_says_so(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    one = gate()
    one.append(3)
    uplink = one.start()
    until(lambda: "collector_unreachable" in uplink.state.reason, "the reason")
    assert uplink.state.state == "failed" and one.journal.depth == 4
    with centre.serving():
        until(lambda: one.journal.depth == 0, "receipts once it is back")


# --- whom it believes


def spoilt(change: Callable[[bytes], bytes]) -> Callable[[Brought], Brought]:
    return lambda brought: replace(brought, messages=[change(one) for one in brought.messages])


def forged(gate: Gate, key: Ed25519Key, **changes: Any) -> bytes:
    head = gate.journal.head
    fields = {"device": "gate-1", "chain": head.chain, "upto": head.seq, "head": head.hash, "tree_size": 99}
    return sign_receipt(Receipt.model_validate(fields | {"time": "2026-05-04T08:00:00.000Z"} | changes), key)


@pytest.mark.parametrize("how", ["a stranger's key", "another event", "another terminal", "a chain of nobody"])
def test_a_receipt_that_the_collector_did_not_give_lets_nothing_go(
    centre: Centre, gate: Callable[..., Gate], how: str
) -> None:
    one = gate()
    one.append(3)
    receipt = {
        "a stranger's key": forged(one, Ed25519Key.generate()),
        "another event": forged(one, centre.keys.receipt, upto=0),  # signed, with the hash of event 3
        "another terminal": forged(one, centre.keys.receipt, device="gate-2"),
        "a chain of nobody": forged(one, centre.keys.receipt, chain="0" * 32),
    }[how]
    chain = one.journal.head.chain
    between = Between.of(centre, spoilt(lambda _: receipt))
    with centre.serving():
        uplink = one.start()
        until(lambda: uplink.counts["receipts_refused"] > 0, "a receipt that is refused")
        assert one.journal.depth > 0 and one.journal.released == -1
        between.change = lambda brought: brought
        if how == "another event":  # a signed word that this journal is behind begins a chain anew, as over MQTT
            until(lambda: one.journal.head.chain != chain, "a new chain")
            until(lambda: uplink.state.reason.startswith("no_receipts: "), "a chain that waits")
            centre.services.devices.approve("gate-1", one.journal.head.chain, "me")
        until(lambda: one.journal.depth == 0, "a true receipt")
    assert (one.journal.head.chain == chain) == (how != "another event")


def test_whoever_has_another_authority_is_told_nothing(
    centre: Centre, gate: Callable[..., Gate], tmp_path: Path
) -> None:
    one = gate()
    one.append(3)
    other = Centre(tmp_path / "other", centre.port)
    between = Between.of(other)
    with other.serving():
        uplink = one.start()
        until(lambda: "wrong_pin" in uplink.state.reason, "the reason")
        one.stop()
        (one.folder / "authority.pem").unlink()  # then it is fetched from whoever answers
        uplink = one.start()
        until(lambda: "wrong_pin" in uplink.state.reason, "the reason")
        assert "expected" in uplink.state.reason
        one.stop()
    other.close()
    assert between.taken == [] and one.journal.depth == 4


# --- whom the collector believes


def server(centre: Centre) -> PinnedServer:
    return PinnedServer(f"https://localhost:{centre.port}", centre.joining.authority.pin)


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


# --- crashes, and what else comes back


DIES_AFTER_COMMIT = """
import os, signal
from collector.ingest.deliveries import Deliveries
real = Deliveries.take_from
def take_from(self, *a, **k):
    real(self, *a, **k)
    os.kill(os.getpid(), signal.SIGKILL)
Deliveries.take_from = take_from
from zaigang.commands.collector import app
app()
"""


def test_a_collector_that_dies_between_commit_and_answer_is_asked_again_and_nothing_doubles(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    one = gate()
    one.append(30)
    environment = {
        "ZAIGANG_COLLECTOR_HTTPS": "true",
        "ZAIGANG_COLLECTOR_PUBLIC_URL": f"https://localhost:{centre.port}",
        "ZAIGANG_COLLECTOR_CONSOLE": "false",
    }
    given = {"port": centre.port, "environment": environment}
    dying = CollectorProcess(centre.data, free_port(), program=DIES_AFTER_COMMIT, **given).start()
    one.start()
    assert dying.process is not None
    dying.process.wait(60)
    until(lambda: "collector_unreachable" in one.reason(), "a lost answer")
    assert len(held(centre, one)) == 31 and one.journal.depth == 31
    one.reopen()  # and the terminal's power went as well
    with centre.serving():
        one.start()
        until(lambda: one.journal.depth == 0, "a receipt for what was there already")
    assert held(centre, one) == all_of(one)


def replace_keys(centre: Centre, *purposes: Rotated) -> None:
    """Hand keys of the collector's over, and have it start again with the new ones."""
    with centre.database.write() as session:  # the first statement names the keys
        Scribe(centre.keys)(session, "device.revoked", {"device": "gate-9", "from_index": 0, "by": "x"})
    for purpose in purposes:
        keys = load_or_create_keys(centre.settings.keys_path)
        rotate(centre.database, keys, centre.settings.keys_path, purpose)
    centre.database.close()
    centre.__post_init__()


def test_a_key_of_the_collector_that_was_handed_over_meanwhile_is_followed(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    one = gate()
    one.append(3)
    old = centre.keys.receipt.public
    replace_keys(centre, "receipt")
    assert centre.keys.receipt.public != old
    with centre.serving():
        uplink = one.start()
        until(lambda: one.journal.depth == 0, "a receipt of the new key")
        assert uplink.counts["receipts_refused"] == 0
    assert centre.keys.receipt.public in one.settings.pinned_keys and old not in one.settings.pinned_keys


def test_a_terminals_key_that_was_rotated_meanwhile_delivers_though_the_collector_does_not_know_it(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    one = gate()
    first = one.key.public
    one.append(300)  # more than a batch before the rotation
    one.journal.rotate_key("planned: a test")
    one.journal.rotate_key("planned: again")
    one.append(3)
    with centre.serving():
        one.start()
        until(lambda: one.journal.depth == 0, "receipts")
    envelopes = list(centre.services.ledger.envelopes("gate-1", one.journal.head.chain))
    assert envelopes == all_of(one) and verify_chain(envelopes, {"gate-1": first}).ok


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


def test_what_a_collector_that_was_restored_lacks_is_asked_for_and_sent_once_more(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    one = gate()
    one.append(20)
    with centre.serving():
        one.start()
        until(lambda: one.journal.depth == 0, "receipts")
        one.stop()
    forget_after(centre, one.journal.head.chain, 5)
    one.append(10)
    with centre.serving():
        uplink = one.start()
        until(lambda: one.journal.depth == 0, "receipts for everything")
        assert uplink.counts["asked"] >= 1
    assert held(centre, one) == all_of(one)


def forget_after(centre: Centre, chain: str, seq: int) -> None:
    """Put a collector in place that has only the first events, as from an old backup."""
    kept = list(centre.services.ledger.envelopes("gate-1", chain))[: seq + 1]
    row = centre.services.devices.keys("gate-1")[0]
    centre.database.close()
    for file in centre.data.glob("collector.sqlite*"):
        file.unlink()
    fresh = Centre(centre.data, centre.port)
    fresh.services.devices.add(NewDevice(name="gate-1", site="east", key=row.key))
    centre.database, centre.services, centre.joining = fresh.database, fresh.services, fresh.joining
    assert centre.services.deliveries.take(kept, "backup").outcomes["admitted"] == seq + 1


def test_a_chain_that_waits_for_approval_is_said_so_and_is_not_hurried(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    between = Between.of(centre)
    one = gate()
    one.append(5)
    with centre.serving():
        one.start()
        until(lambda: one.journal.depth == 0, "receipts")
        one.stop()
        one.journal.close()
        one.settings.journal_file.unlink()  # the journal is lost, its mark is not
        one.journal = one._open()
        one.append(5)
        chain, before = one.journal.head.chain, len(between.taken)
        uplink = one.start()
        until(lambda: uplink.state.reason.startswith("no_receipts: "), "the reason")
        centre.services.devices.approve("gate-1", chain, "me")
        until(lambda: one.journal.depth == 0, "receipts once it is approved")
        assert len(between.taken) - before < 500
    assert held(centre, one) == all_of(one)


def test_a_command_comes_with_the_answer_until_it_is_answered(centre: Centre, gate: Callable[..., Gate]) -> None:
    one = gate()
    centre.services.people.add(NewWorker(code="E1", name="王"))
    view = centre.services.commands.spot_check("E1", "gate-1", 5, "me")
    with centre.serving():
        one.start()
        until(lambda: one.commands, "the command, though nothing waits to be sent")
    assert set(one.commands) == {view.command.envelope}


# --- a whole terminal, and one on sticks alone


def whole(gate: Gate, **changes: Any) -> Any:
    gate.stop()
    gate.journal.close()
    given = gate.settings.model_dump(include=WRITTEN) | changes
    return small_terminal(gate.folder.parent, **given)


def test_a_whole_terminal_reports_and_is_shown_the_ledger_without_a_broker(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    one = gate()
    with centre.serving(), whole(one) as kiosk:
        until(lambda: kiosk.journal.depth == 0, "receipts")
        centre.services.checkpoints.sign()
        kiosk.attendant.badge_pin(LogType.IN, "W-9", "000000")
        until(lambda: kiosk.attendant.view().result, "a result")
        until(lambda: kiosk.journal.depth == 0, "a receipt for the punch")
        view = kiosk.attendant.view()
        assert view.online and view.over_https
        assert kiosk.parts()["network"].reason.startswith("https: ")
        kiosk._publish_health(kiosk.clock.stamp())
        assert kiosk.uplink._https is not None
        kiosk.uplink._https._way._ask_s = 0.0  # as if the minute were over
        kiosk.uplink.wake()
        until(lambda: kiosk.ledger.size, "the checkpoint")
        (device,) = centre.services.devices.all()
        found = centre.services.devices.get(device.name)
        assert found.health is not None and found.last_activity is not None


def test_a_terminal_on_sticks_alone_follows_the_collectors_keys(
    centre: Centre, gate: Callable[..., Gate], tmp_path: Path
) -> None:
    one = gate()
    replace_keys(centre, "receipt", "command", "receipt")
    with whole(one, broker=(nobody(),), https_after_s=0) as kiosk:
        file = export(kiosk.settings.journal_file, tmp_path, "gate-1.jsonl").file
        centre.database.close()
        command("import", str(file), data=centre.data)
        lines = (tmp_path / "gate-1.receipts.jsonl").read_bytes().splitlines()
        assert len(lines) == 4  # three handovers, then a receipt
        alone = kiosk.operations.take_receipts(lines[3:])
        assert alone["receipts"] == 0 and "no key that is pinned here" in alone["refused"][0]
        before = kiosk.settings.pinned_keys
        forged = kiosk.operations.take_receipts([handover_of_a_stranger(), lines[3]])
        assert forged["receipts"] == 0 and kiosk.settings.pinned_keys == before
        taken = kiosk.operations.take_receipts(lines)
        assert (taken["receipts"], taken["handovers"], taken["refused"]) == (1, 3, [])
        assert kiosk.settings.pinned_keys == (centre.keys.receipt.public, centre.keys.command.public)
        assert kiosk.operations.take_receipts(lines)["refused"] == []  # again is harmless
        assert set(kiosk.uplink._keys) == {key.id for key in kiosk.settings.pinned_keys}
    centre.__post_init__()


def handover_of_a_stranger() -> bytes:
    return sign_handover("receipt", Ed25519Key.generate(), Ed25519Key.generate(), "2026-05-04T08:00:00.000Z")
