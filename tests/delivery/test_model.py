"""A model of delivery: terminals, a network and a centre, in any order of events that hypothesis thinks of.

Real journal, uplink and stick, real intake, gaps and administration; the wire is a list (tests/delivery/model). In the
end the network is good, an administrator does what is asked of him, and all that was shown must be in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.delivery.model.wire import MISDEEDS
from tests.delivery.model.world import World, met

LONG = os.environ.get("ZAIGANG_LONG") == "1"
EXAMPLES = 300 if LONG else 12
COLLECTORS = st.integers(0, 1)
PLACES = st.integers(0, 1 << 16)
LINES = st.one_of(st.integers(1, 80), st.integers(80, 3000))  # a punch has about eighty, a start some hundreds more


class Delivery(RuleBasedStateMachine):
    """Every rule is something that may happen to a terminal, the network or the centre."""

    @initialize(punches=st.integers(0, 8), delivered=st.booleans(), copied=st.booleans(), more=st.integers(0, 4))
    def begin(self, punches: int, delivered: bool, copied: bool, more: int) -> None:
        """A terminal that has been at work for a while."""
        self.world = World()
        self.terminal, self.wire, self.centre = self.world.terminal, self.world.wire, self.world.centre
        self.punch([100] * punches)
        if delivered:
            self.world.exchange(0)
        if copied:
            self.terminal.back_up()
        self.punch([100] * more)

    @invariant()
    def what_always_holds(self) -> None:
        if hasattr(self, "world"):
            self.world.require_what_always_holds()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            if sys.exc_info()[0] is None:  # else a rule failed already, and that is what is told
                self.world.the_end()
        finally:
            self.world.end()

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
        self.world.ticks.now_s += seconds

    @rule(count=st.integers(1, 4))
    def receive(self, count: int) -> None:
        self.world.receive(count)

    @rule(line=LINES, what=st.sampled_from(["punch", "deliver", "receive", "restart", "prune", "rotate"]))
    def terminal_killed(self, line: int, what: str) -> None:
        doings = {
            "punch": lambda: self.terminal.punch(100),
            "deliver": lambda: self.terminal.deliver(20),
            "receive": lambda: self.world.receive(2),
        }
        reached = self.terminal.killed(line, doings.get(what) or getattr(self.terminal, what))
        met[f"killed in {what}"] += reached

    @rule()
    def terminal_restarted(self) -> None:
        self.terminal.restart()

    @rule()
    def pruned(self) -> None:
        self.world.forget_what_is_salvaged()
        self.terminal.prune()

    @rule()
    def key_rotated(self) -> None:
        self.terminal.rotate()

    @rule(sizes=st.lists(st.integers(0, 2000), max_size=3), well=st.booleans())
    def copied(self, sizes: list[int], well: bool) -> None:
        """The folder is copied, and goes on."""
        self.terminal.back_up()
        for size in sizes:
            self.terminal.punch(size)
        if well:
            self.world.exchange(0)

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
        self.world.deal(which, count)

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
        self.world.ask(which)

    @rule(first=st.integers(0, 20), more=st.integers(0, 5))
    def asked_for_anything(self, first: int, more: int) -> None:
        assert self.terminal.journal is not None
        chain = self.terminal.journal.head.chain
        self.world.answer(self.centre.question(chain, first, first + more), chain, first, first + more)

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
        self.world.exchange(which)


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
