"""A supervisor stands for a worker: who may, and how often that happens here. Values in, values out.

The supervisor is identified on the spot by the same checks as anybody (a face 1:1, or badge and PIN), never for
himself, and the event names both. It is a way for who has neither face nor PIN at hand: policy sends it to review.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evidence.envelope import Envelope
from evidence.errors import EvidenceError
from evidence.events import Check, Kind, Method, Outcome, PunchBody, parse_body, parse_event
from kiosk.policy import FACE_CHECKS
from kiosk.verify.gallery import GalleryWorker

CHECK_NAME = "supervisor"
COUNTED = 1000  # punches: two hundred workers' week


def objection(worker: str, supervisor: str, held: GalleryWorker | None, *, limited: bool) -> Check | None:
    """Why this supervisor cannot confirm this worker, before anybody is looked at; None: he may be identified.

    `held`: who is enrolled under the supervisor's code.
    """
    if worker.casefold() == supervisor.casefold():
        return _failed(supervisor, "own_punch: nobody confirms himself")
    if held is None or held.role != "supervisor":
        return _failed(supervisor, "no_supervisor: no supervisor is enrolled here under this code")
    if limited:
        return _failed(supervisor, "too_many_confirmations: this supervisor has confirmed all that an hour allows")
    return None


def confirmation(supervisor: str, identity: Sequence[Check], *, by_face: bool) -> Check:
    """Judge the supervisor's own identity. Anything short of all checks passed is no confirmation.

    A check that did not run stands beside this one as such; whether a supervisor was identified is answered all the
    same, with no.
    """
    needed = FACE_CHECKS if by_face else ("pin",)
    passed = {one.name for one in identity if one.outcome is Outcome.PASSED}
    if any(one.outcome is Outcome.FAILED for one in identity) or not passed.issuperset(needed):
        return _failed(supervisor, "not_confirmed: the supervisor was not identified")
    return Check(
        name=CHECK_NAME,
        outcome=Outcome.PASSED,
        observed={"claimed": supervisor, "by": "face" if by_face else "pin"},
        reason="ok: a supervisor was identified and confirmed the worker",
    )


def _failed(supervisor: str, reason: str) -> Check:
    return Check(name=CHECK_NAME, outcome=Outcome.FAILED, observed={"claimed": supervisor}, reason=reason)


@dataclass(slots=True)
class ConfirmationRate:
    """How many of the newest punches here were confirmed by a supervisor."""

    _newest: deque[bool] = field(default_factory=lambda: deque(maxlen=COUNTED))

    @classmethod
    def of(cls, envelopes: Iterable[bytes]) -> ConfirmationRate:
        """Count a journal's own punches, oldest first: they are as they were written, so nothing is verified.

        One that cannot be read is not counted: a figure for operators keeps no terminal from starting.
        """
        rate = cls()
        for data in envelopes:
            try:
                event = parse_event(Envelope.decode(data).payload)
                body = parse_body(event)
            except EvidenceError:
                continue
            if event.kind == Kind.PUNCH_RECORDED and isinstance(body, PunchBody):
                rate.note(body)
        return rate

    def note(self, body: PunchBody) -> None:
        """Count one recorded punch."""
        self._newest.append(body.method is Method.SUPERVISOR)

    @property
    def punches(self) -> int:
        """How many were counted, COUNTED at most."""
        return len(self._newest)

    @property
    def confirmed(self) -> int:
        """How many of them a supervisor confirmed."""
        return sum(self._newest)
