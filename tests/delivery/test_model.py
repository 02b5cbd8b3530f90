"""A model of delivery: terminals, a network and a centre, in any order of events that hypothesis thinks of.

Real journal, uplink and stick, real intake, gaps and administration; the wire is a list (tests/delivery/model). In the
end the network is good, an administrator does what is asked of him, and all that was shown must be in.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.delivery.model.centre import DEVICE, Centre, Entry
from tests.delivery.model.folder import Place, salvaged, undelivered
from tests.delivery.model.terminal import Terminal
from tests.delivery.model.wire import MISDEEDS, Ticks, Wire

from collector.ledger.models import ChainState
from evidence.chain import verify_chain
from evidence.envelope import Envelope
from evidence.events import parse_event
from evidence.gap import read_gap_request
from evidence.keys import PublicKey

LONG = os.environ.get("ZAIGANG_LONG") == "1"
EXAMPLES = 300 if LONG else 12
COLLECTORS = st.integers(0, 1)
PLACES = st.integers(0, 1 << 16)
LINES = st.one_of(st.integers(1, 80), st.integers(80, 3000))  # a punch has about a hundred, a new chain two thousand

met: Counter[str] = Counter()  # what happened, over all runs


class Delivery(RuleBasedStateMachine):
    """Every rule is something that may happen to a terminal, the network or the centre."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="zaigang-model-"))
        self.ticks, self.wire = Ticks(), Wire()
        self.clock = mock.patch("kiosk.uplink.time", self.ticks)
        self.clock.start()
        self.centre, self.terminal = begin(self.root, self.wire)
        self.before: dict[Place, Entry] = {}

    # --- the terminal

    @rule(sizes=st.lists(st.integers(0, 2000), min_size=1, max_size=4))
    def punch(self, sizes: list[int]) -> None:
        for size in sizes:
            self.terminal.punch(size)

    @rule(room=st.integers(1, 20))
    def deliver(self, room: int) -> None:
        self.terminal.deliver(room)

    @rule(seconds=st.sampled_from([1, 11, 400]))
    def time_passes(self, seconds: int) -> None:
        self.ticks.now_s += seconds

    @rule(count=st.integers(1, 4))
    def receive(self, count: int) -> None:
        wire, self.wire.down = self.wire.down[:count], self.wire.down[count:]
        for payload in wire:
            self.terminal.receive(payload)

    @rule(line=LINES, what=st.sampled_from(["punch", "deliver", "receive", "restart", "prune", "rotate"]))
    def terminal_killed(self, line: int, what: str) -> None:
        doings = {
            "punch": lambda: self.terminal.punch(100),
            "deliver": lambda: self.terminal.deliver(20),
            "receive": lambda: self.receive(2),
        }
        reached = self.terminal.killed(line, doings.get(what) or getattr(self.terminal, what))
        met[f"killed in {what}"] += reached

    @rule()
    def terminal_restarted(self) -> None:
        self.terminal.restart()

    @rule()
    def pruned(self) -> None:
        self.forget_what_is_salvaged()
        self.terminal.prune()

    @rule()
    def key_rotated(self) -> None:
        self.terminal.rotate()

    @rule()
    def copied(self) -> None:
        self.terminal.back_up()

    @rule(
        what=st.sampled_from(["folder restored", "journal restored", "copy goes on", "journal lost", "all lost"]),
    )
    def disaster(self, what: str) -> None:
        met[what] += 1
        if what == "copy goes on":
            self.terminal.swap()
        elif "restored" in what:
            self.terminal.put_back("" if what == "folder restored" else "journal.db")
        else:
            self.terminal.lose(mark_too=what == "all lost")

    @rule(how=st.sampled_from(["hash", "bit", "delete"]), at=PLACES)
    def damaged(self, how: str, at: int) -> None:
        met[f"damaged: {how}"] += 1
        self.terminal.damage(how, at)

    # --- the network

    @rule(which=st.sampled_from(["up", "down"]), what=st.sampled_from(MISDEEDS), at=PLACES)
    def network(self, which: str, what: str, at: int) -> None:
        self.wire.misbehave(which, what, at)

    @rule()
    def broker_wiped(self) -> None:
        self.wire.wipe()
        self.terminal.reconnect()

    @rule()
    def connection_lost(self) -> None:
        self.terminal.reconnect()

    @rule(which=COLLECTORS, there=st.booleans(), back=st.booleans())
    def stick(self, which: int, there: bool, back: bool) -> None:
        lines = self.terminal.stick()
        receipts = self.centre.deliver(which, lines) if there else []
        if back:
            self.terminal.stick_back(receipts)

    # --- the centre

    @rule(which=COLLECTORS, count=st.integers(1, 6))
    def dealt(self, which: int, count: int) -> None:
        """The broker gives one of two that share the subscription what it has."""
        taken, self.wire.up = self.wire.up[:count], self.wire.up[count:]
        self.centre.take(which, taken)

    @rule(which=COLLECTORS, count=st.integers(1, 20), lost=st.booleans())
    def admitted(self, which: int, count: int, lost: bool) -> None:
        """A batch is committed; its receipts may be lost, as when the collector is killed in between."""
        receipts = self.centre.admit(which, count)
        self.wire.down += [] if lost else receipts

    @rule(which=COLLECTORS, line=LINES, again=st.booleans())
    def collector_killed(self, which: int, line: int, again: bool) -> None:
        """What it held is dealt out again, or is lost with its session."""
        held = self.centre.die(which, line)
        self.wire.up += held if again else []

    @rule(which=COLLECTORS)
    def asked(self, which: int) -> None:
        self.wire.down += self.centre.questions(which)

    @rule(which=COLLECTORS)
    def asked_on_a_good_network(self, which: int) -> None:
        """What is asked for goes up at once, as far as the terminal has it and the broker takes it."""
        for question in self.centre.questions(which):
            asked = read_gap_request(question, self.centre.keys.receipt.public, DEVICE)
            met["asked"] += 1
            self.answer(question, asked.chain, asked.first, asked.last)

    @rule(first=st.integers(0, 20), more=st.integers(0, 5))
    def asked_for_anything(self, first: int, more: int) -> None:
        assert self.terminal.journal is not None
        chain = self.terminal.journal.head.chain
        self.answer(self.centre.question(chain, first, first + more), chain, first, first + more)

    def answer(self, question: bytes, chain: str, first: int, last: int) -> None:
        journal = self.terminal.journal
        assert journal is not None
        wanted = [one for _, one in journal.range(first, last, 20)] if chain == journal.head.chain else []
        self.terminal.deliver(0)  # what was asked before and waits for room goes with it
        self.terminal.receive(question)
        self.terminal.deliver(400)
        assert set(wanted) <= set(self.terminal.connection.published), "a question was not answered"
        met["answered"] += bool(wanted)

    @rule()
    def approved(self) -> None:
        met["approved"] += self.centre.approve()

    @rule(really=st.integers(0, 7))
    def revoked(self, really: int) -> None:
        if really == 7:
            met["revoked"] += 1
            self.centre.revoke()

    @rule(which=COLLECTORS)
    def a_good_day(self, which: int) -> None:
        self.exchange(which)

    def exchange(self, which: int) -> None:
        """All goes up, all is admitted, all comes back."""
        self.ticks.now_s += 400
        while self.terminal.deliver(20) or self.wire.up:
            self.dealt(which, 1000)
        self.wire.down += self.centre.admit(which, 1000)
        while self.wire.down:
            self.receive(1000)

    # --- what must hold

    @invariant()
    def nothing_is_lost_and_nothing_changes(self) -> None:
        if not hasattr(self, "before"):
            return
        ledger, against = self.centre.ledger(), self.centre.evidence()
        assert self.before.items() <= ledger.items(), "an entry is gone or another one"
        self.before = ledger
        assert {chain for chain, _ in against.values()} <= self.terminal.copied, "contradicted for nothing"
        assert len({chain for chain, _ in ledger} - self.centre.approved) <= 1, "a new chain that nobody approved"
        revoked = self.centre.revoked_from
        flagged = [one.after_revocation for one in ledger.values()]
        assert flagged == [revoked is not None and one.leaf >= revoked for one in ledger.values()]
        self.missing(ledger, set(against))

    def missing(self, ledger: dict[Place, Entry], against: set[str]) -> set[str]:
        """Require that nothing is missing but what a copy signed, and that this lies in what was set aside."""
        had = against | {one.hash for one in ledger.values()}
        missing = self.terminal.missing(had)
        assert {chain for chain, _ in missing.values()} <= self.terminal.copied, f"lost: {missing}"
        if missing:
            saved = salvaged(self.terminal.folder) | salvaged(self.terminal.shelf)
            assert set(missing) <= saved, (
                f"a copy's events are nowhere: {[(d[:6], p) for d, p in missing.items() if d not in saved]}"
            )
        return set(missing)

    def forget_what_is_salvaged(self) -> None:
        """Its retention is over."""
        gone = self.missing(self.centre.ledger(), set(self.centre.evidence()))
        self.terminal.lost.update({digest: self.terminal.shown[digest] for digest in gone})

    # --- the end

    def teardown(self) -> None:
        if not hasattr(self, "before"):
            return
        try:
            if sys.exc_info()[0] is None:  # else a rule failed already, and that is what is told
                self.the_end()
        finally:
            self.terminal.drop()
            self.centre.close()
            self.clock.stop()
            shutil.rmtree(self.root)

    def the_end(self) -> None:
        self.wire.wipe()
        for _ in range(2 if self.terminal.shelf.exists() else 1):
            self.settle()
            self.require_delivered()
            self.terminal.swap()
        self.nothing_is_lost_and_nothing_changes()
        self.require_sound()

    def settle(self) -> None:
        """Good days, until nothing moves any more."""
        still, seen = 0, (-1, -1)
        for day in range(500):
            self.exchange(day % 2)
            moved = self.centre.approve()
            self.wire.down += self.centre.questions(day % 2)
            assert self.terminal.journal is not None
            now = (self.terminal.journal.depth, len(self.centre.ledger()))
            still, seen = (0 if moved or now != seen else still + 1), now
            if self.terminal.journal.depth == 0:
                return
            if still > 4:
                if not self.centre.declare(set(self.terminal.lost.values())):
                    return
                still = 0
        raise AssertionError("it goes on for ever")

    def require_delivered(self) -> None:
        """Nothing waits but what has a reason that somebody was shown."""
        waiting = {chain for chain, _ in undelivered(self.terminal.folder).values()}
        states, lost = self.centre.states(), set(self.terminal.lost.values())
        frozen = {chain for chain, state in states.items() if state is ChainState.FROZEN}
        met["frozen"] += len(frozen)
        assert frozen <= self.terminal.copied
        if self.terminal.rotations and (self.terminal.copied or lost):
            return  # the one event that names the new key may be gone, or in a copy that counts for nothing
        if frozen and lost:
            return  # what waits in frozen chains may fill the staging, and then nothing shows where a gap ends
        for chain in waiting - frozen:
            refused = self.centre.revoked_from is not None and states.get(chain, ChainState.PENDING) != ChainState.OPEN
            assert refused or (chain, 0) in lost, f"chain {chain} waits, and nobody knows why"

    def require_sound(self) -> None:
        """Chains verify, the ledger is derived again, and whatever was shown is at its place."""
        ledger = self.centre.ledger()
        for chain in {chain for chain, _ in ledger}:
            if any(of == chain for of, _ in self.centre.declared):
                continue
            envelopes = list(self.centre.services.ledger.envelopes(DEVICE, chain))
            first = parse_event(Envelope.decode(envelopes[0]).payload).body["key"]
            key = PublicKey.parse(str(first))
            assert key in self.terminal.known_keys
            report = verify_chain(envelopes, {DEVICE: key})
            assert report.ok, report.problems
        places = {one.hash: place for place, one in ledger.items()}
        assert all(places.get(digest, place) == place for digest, place in self.terminal.shown.items())
        assert self.centre.difference() is None
        met["new chains"] += self.terminal.new_chains
        met["gaps given up"] += bool(self.centre.declared)
        met["shown"] += len(self.terminal.shown)


def begin(root: Path, wire: Wire) -> tuple[Centre, Terminal]:
    """A centre that knows one terminal, which has just been started."""
    from kiosk.terminal_key import TerminalKey

    (root / "terminal").mkdir()
    centre = Centre(root / "collector", TerminalKey(root / "terminal" / "terminal.pem").public)
    return centre, Terminal(root, wire, centre.keys.receipt.public)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_whatever_happens_in_whatever_order_nothing_shown_is_lost(
    record_property: Callable[[str, object], None],
) -> None:
    met.clear()
    run_state_machine_as_test(
        Delivery,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    record_property("runs", EXAMPLES)
    record_property("met", dict(sorted(met.items())))
