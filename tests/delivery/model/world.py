"""The model's world: a terminal, a network and a centre, what is done with several of them, and what must hold."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from unittest import mock

from collector.ledger.models import ChainState
from evidence.chain import verify_chain
from evidence.envelope import Envelope
from evidence.events import parse_event
from evidence.gap import read_gap_request
from evidence.keys import PublicKey
from kiosk.terminal_key import TerminalKey
from tests.delivery.model.centre import DEVICE, Centre, Entry
from tests.delivery.model.folder import Place, salvaged, undelivered
from tests.delivery.model.terminal import Terminal
from tests.delivery.model.wire import Ticks, Wire

met: Counter[str] = Counter()  # what happened, over all worlds


class World:
    """One run's world; `end` removes it."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="zaigang-model-"))
        self.ticks, self.wire = Ticks(), Wire()
        self._clock = mock.patch("kiosk.uplink.time", self.ticks)
        self._clock.start()
        (self._root / "terminal").mkdir()
        key = TerminalKey(self._root / "terminal" / "terminal.pem").public
        self.centre = Centre(self._root / "collector", key)
        self.terminal = Terminal(self._root, self.wire, self.centre.keys.receipt.public)
        self._before: dict[Place, Entry] = {}

    def end(self) -> None:
        """Remove it all."""
        self.terminal.drop()
        self.centre.close()
        self._clock.stop()
        shutil.rmtree(self._root)

    # --- what happens between them

    def deal(self, which: int, count: int) -> None:
        """The broker gives one of two that share the subscription what it has."""
        taken, self.wire.up = self.wire.up[:count], self.wire.up[count:]
        self.centre.take(which, taken)

    def receive(self, count: int) -> None:
        """What came down reaches the terminal."""
        wire, self.wire.down = self.wire.down[:count], self.wire.down[count:]
        for payload in wire:
            self.terminal.receive(payload)

    def exchange(self, which: int) -> None:
        """All goes up, all is admitted, all comes back."""
        self.ticks.now_s += 400
        while self.terminal.deliver(20) or self.wire.up:
            self.deal(which, 1000)
        self.wire.down += self.centre.admit(which, 1000)
        while self.wire.down:
            self.receive(1000)

    def ask(self, which: int) -> None:
        """What is asked for goes up at once, as far as the terminal has it, and then the gap is closed."""
        for question in self.centre.questions(which):
            asked = read_gap_request(question, self.centre.keys.receipt.public, DEVICE)
            met["asked"] += 1
            held = self.answer(question, asked.chain, asked.first, asked.last)
            self.deal(which, 1000)
            self.centre.admit(which, 1000)
            gap = {(asked.chain, seq) for seq in range(asked.first, asked.last + 1)}
            excused = asked.chain in self.terminal.copied or not self.centre.is_open(asked.chain)
            closed = gap <= set(self.centre.ledger())
            assert closed or excused or held < len(gap), "all that was asked for has come, and the gap is open"

    def answer(self, question: bytes, chain: str, first: int, last: int) -> int:
        """The terminal sends what it has of the range, receipted or not; return how many events that is."""
        journal = self.terminal.journal
        assert journal is not None
        wanted = [one for _, one in journal.range(first, last, 20)] if chain == journal.head.chain else []
        self.terminal.deliver(0)  # what was asked before and waits for room goes with it
        self.terminal.receive(question)
        self.terminal.deliver(400)
        assert set(wanted) <= set(self.terminal.connection.published), "a question was not answered"
        met["answered"] += bool(wanted)
        return len(wanted)

    # --- what must hold

    def require_what_always_holds(self) -> None:
        """Nothing is lost, nothing that is in the ledger changes, nothing enters that must not."""
        ledger, against = self.centre.ledger(), self.centre.evidence()
        assert self._before.items() <= ledger.items(), "an entry is gone or another one"
        self._before = ledger
        contradicted = {chain for chain, _ in against.values()}
        assert contradicted <= self.terminal.copied, "contradicted for nothing"
        assert not any(self.centre.is_open(chain) for chain in contradicted), "contradicted, and not frozen"
        assert len({chain for chain, _ in ledger} - self.centre.approved) <= 1, "a new chain that nobody approved"
        revoked = self.centre.revoked_from
        flagged = [one.after_revocation for one in ledger.values()]
        assert flagged == [revoked is not None and one.leaf >= revoked for one in ledger.values()]
        self._missing(ledger, set(against))

    def _missing(self, ledger: dict[Place, Entry], against: set[str]) -> set[str]:
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
        gone = self._missing(self.centre.ledger(), set(self.centre.evidence()))
        self.terminal.lost.update({digest: self.terminal.shown[digest] for digest in gone})

    def the_end(self) -> None:
        """The network is good, an administrator does his part: both machines deliver all that can be delivered."""
        self.wire.wipe()
        for _ in range(2 if self.terminal.shelf.exists() else 1):
            self._settle()
            self._require_delivered()
            if self.terminal.shelf.exists():
                self.terminal.swap()
        self.require_what_always_holds()
        self._require_sound()

    def _settle(self) -> None:
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

    def _require_delivered(self) -> None:
        """Nothing waits but what has a reason that somebody was shown."""
        waiting = {chain for chain, _ in undelivered(self.terminal.folder).values()}
        states, lost = self.centre.states(), set(self.terminal.lost.values())
        frozen = {chain for chain, state in states.items() if state is ChainState.FROZEN}
        met["frozen"] += len(frozen)
        assert frozen <= self.terminal.copied
        if self.terminal.rotations and (self.terminal.copied or lost):
            return  # the one event that names the new key may be gone, or in a copy that counts for nothing
        if lost and self.centre.staging_is_full():
            return  # then nothing shows where a gap ends, so nobody can give it up
        for chain in waiting - frozen:
            refused = self.centre.revoked_from is not None and states.get(chain, ChainState.PENDING) != ChainState.OPEN
            assert refused or (chain, 0) in lost, f"chain {chain} waits, and nobody knows why"

    def _require_sound(self) -> None:
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
