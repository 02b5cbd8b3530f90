"""The badges that workers wear: whose each is, and whether a worker's own was heard at a punch.

A badge only ever corroborates: not heard, or heard under an identifier that has served a punch already, is `not_run`,
never `failed` (docs/adr/0017). It proves where the badge is, not the person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from evidence.events import Check, Outcome, PunchBody, Verdict
from kiosk.sensors.beacons import Near, normal_id

CHECK_NAME = "badge_near"
MOST_SPENT = 20_000  # identifiers remembered: more punches than a terminal takes in the longest window, 45 hours


class Hearing(Protocol):
    """What can say that a badge is near: kiosk.sensors.beacons.BeaconSensor."""

    def near(self, ids: tuple[str, ...]) -> Near | None:
        """Return the strongest of these in range now."""
        ...


class WornBadges:
    """Whose badge is whose, by id; and which rotating identifiers have served a punch. Not for two threads at once."""

    def __init__(self, workers: Mapping[str, str]) -> None:
        """`workers`: employee code by badge id, as settings write both."""
        self._workers = {normal_id(badge): worker for badge, worker in workers.items()}
        self._spent: dict[str, None] = {}  # in the order of their use

    def worker(self, badge: str) -> str | None:
        """Return whose badge it is."""
        return self._workers.get(badge)

    def of(self, worker: str) -> tuple[str, ...]:
        """Return a worker's badges."""
        return tuple(badge for badge, one in self._workers.items() if one == worker)

    def check(self, worker: str | None, hearing: Hearing | None) -> tuple[Check, ...]:
        """Say whether the worker's badge is near; nothing for a worker without one. `hearing` None: no scanner."""
        badges = self.of(worker) if worker is not None else ()
        if not badges:
            return ()
        if hearing is None:
            return (_not_run("no_scanner: no Bluetooth scanner is working"),)
        near = hearing.near(badges)
        if near is None:
            return (_not_run("badge_not_heard: the worker's badge is not in range"),)
        eid = None if near.eid is None else near.eid.hex()
        observed = {"rssi": near.rssi, "eid": eid}
        if eid is not None and eid in self._spent:
            return (_not_run("eid_used: this identifier has served a punch before; wait for the next one", observed),)
        reason = "ok: the worker's badge is in range"
        return (Check.model_validate({**_BASE, "outcome": Outcome.PASSED, "observed": observed, "reason": reason}),)

    def spend(self, body: PunchBody) -> None:
        """Use up the identifier that served a recorded punch; at a start, of every punch in the journal.

        A refused attempt uses nothing up: the worker may try again at once.
        """
        if body.verdict is Verdict.REFUSED:
            return
        for check in body.checks:
            if check.name != CHECK_NAME or check.outcome is not Outcome.PASSED:
                continue
            if isinstance(check.observed, dict) and isinstance(eid := check.observed.get("eid"), str):
                self._spent[eid] = None
                while len(self._spent) > MOST_SPENT:
                    del self._spent[next(iter(self._spent))]


_BASE = {"name": CHECK_NAME, "expected": None}


def _not_run(reason: str, observed: object = None) -> Check:
    return Check.model_validate({**_BASE, "outcome": Outcome.NOT_RUN, "observed": observed, "reason": reason})
