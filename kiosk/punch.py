"""One punch from tap to verdict: a state machine without I/O. Time and facts are passed in.

    LOOKING -> HOLD -> PROMPT -> ... -> CHECKING -> DECIDED -> RECORDED | LOST
       \\________\\_______\\____________/   (cancelled, out of time, camera gone: CHECKING, with what is known)

Every way out leads through `decide`, so every attempt has a verdict and every demanded check an outcome. RECORDED is
reached only with the number that the journal gave after its commit; LOST says why nothing was recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from evidence.events import (
    Ask,
    ChallengeRecord,
    Check,
    Kind,
    LogType,
    Method,
    PunchBody,
    Verdict,
)
from kiosk.policy import Policy, complete, judge


class PunchError(Exception):
    """The state machine was driven in an order that no punch has."""


class Step(StrEnum):
    """Where one attempt stands."""

    LOOKING = "looking"
    HOLD = "hold"
    PROMPT = "prompt"
    CHECKING = "checking"
    DECIDED = "decided"
    RECORDED = "recorded"
    LOST = "lost"


# A face may be lost and found again before the match; nothing leads back from CHECKING.
_NEXT: dict[Step, frozenset[Step]] = {
    Step.LOOKING: frozenset({Step.LOOKING, Step.HOLD, Step.PROMPT, Step.CHECKING}),
    Step.HOLD: frozenset({Step.HOLD, Step.LOOKING, Step.PROMPT, Step.CHECKING}),
    Step.PROMPT: frozenset({Step.PROMPT, Step.HOLD, Step.LOOKING, Step.CHECKING}),
    Step.CHECKING: frozenset({Step.CHECKING, Step.DECIDED}),
    Step.DECIDED: frozenset({Step.RECORDED, Step.LOST}),
    Step.RECORDED: frozenset(),
    Step.LOST: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Tap:
    """A worker's tap: what was chosen, and when."""

    method: Method
    log_type: LogType | None
    badge: str | None  # employee code as typed or read; None: recognise the face
    time: str  # RFC 3339 UTC with milliseconds, as the clock said at the tap
    mono_us: int  # monotonic microseconds at the tap


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be signed."""

    kind: Kind
    body: PunchBody


@dataclass(slots=True)
class Punch:
    """One attempt. `receipt` is the short code that the worker will see."""

    tap: Tap
    policy: Policy
    receipt: str
    step: Step = Step.LOOKING
    hint: str | None = None
    ask: Ask | None = None
    worker: str | None = None
    name: str | None = None
    draft: Draft | None = None
    seq: int | None = None  # in the journal, once recorded
    lost: str | None = None  # why nothing was recorded
    confirmed_by: str | None = None  # method supervisor: who was identified and stood for the worker
    _checks: list[Check] = field(default_factory=list)
    _challenge: ChallengeRecord | None = None

    def __post_init__(self) -> None:
        """A site that does not offer the method has no such punch. Raises PunchError."""
        if self.policy.demand(self.tap.method) is None:
            raise PunchError(f"policy {self.policy.name!r} does not offer {self.tap.method}")
        if self.tap.method is Method.BADGE_PIN:  # a supervisor, too, may be looked at
            self.step = Step.CHECKING

    def progress(self, step: Step, *, hint: str | None = None, ask: Ask | None = None) -> None:
        """Follow the face session: what the worker is to be shown now."""
        self._move(step)
        self.hint, self.ask = hint, ask

    def identified(
        self,
        worker: str | None,
        name: str | None,
        checks: Sequence[Check],
        challenge: ChallengeRecord | None = None,
    ) -> None:
        """Take the outcome of the identification, whole or cut short."""
        self._move(Step.CHECKING)
        self.worker, self.name = worker, name
        self._checks.extend(checks)
        self._challenge = challenge

    def add(self, *checks: Check) -> None:
        """Take further checks: place, clock."""
        self._move(Step.CHECKING)
        self._checks.extend(checks)

    def out_of_time(self, now_us: int) -> bool:
        """True when the attempt has lasted longer than the policy allows."""
        return now_us - self.tap.mono_us > self.policy.attempt_limit_s * 1_000_000

    def decide(self) -> Draft:
        """Judge what is known under the policy; nothing can be added afterwards."""
        self._move(Step.DECIDED)
        demand = self.policy.demand(self.tap.method)
        assert demand is not None
        checks = complete(self._checks, demand, self.policy.seals)
        verdict = judge(checks, self.policy, self.tap.method)
        body = PunchBody(
            worker=self.worker,
            log_type=self.tap.log_type,
            method=self.tap.method,
            verdict=verdict,
            checks=checks,
            challenge=self._challenge,
            policy=self.policy.hash,
            receipt=self.receipt,
            tapped_at=self.tap.time,
            confirmed_by=self.confirmed_by,
        )
        kind = Kind.PUNCH_REFUSED if verdict is Verdict.REFUSED else Kind.PUNCH_RECORDED
        self.draft = Draft(kind, body)
        return self.draft

    def recorded(self, seq: int) -> None:
        """The journal has committed the event as `seq`: now, and not before, the worker may see it."""
        self._move(Step.RECORDED)
        self.seq = seq

    def not_recorded(self, code: str) -> None:
        """The journal could not commit; `code` is the reason that the screen shows."""
        self._move(Step.LOST)
        self.lost = code

    def _move(self, step: Step) -> None:
        if step not in _NEXT[self.step]:
            raise PunchError(f"a punch does not go from {self.step} to {step}")
        self.step = step
