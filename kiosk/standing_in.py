"""Who an attempt may be counted against, and how a supervisor is identified: the gallery's part in both.

Limits are looked up and counted before anybody is looked at; a gallery that cannot answer identifies nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from evidence.events import ChallengeRecord, Check, Outcome
from kiosk.clock import Stamp
from kiosk.confirmation import CHECK_NAME, confirmation, objection
from kiosk.policy import FACE_CHECKS
from kiosk.verify.attempts import FACE_BY_BADGE, FACE_OF_ANYONE, Moment, confirmations
from kiosk.verify.errors import GalleryError
from kiosk.verify.face_attempt import FaceResult
from kiosk.verify.gallery import Gallery

log = structlog.get_logger(__name__)


def no_face(reason: str) -> FaceResult:
    """The result of a face attempt that did not take place; `reason` is `code: sentence`."""
    checks = tuple(Check(name=name, outcome=Outcome.NOT_RUN, reason=reason[:400]) for name in FACE_CHECKS)
    return FaceResult(None, None, checks, None)


def counted(gallery: Gallery, badge: str | None, stamp: Stamp, attempt: Callable[[], FaceResult]) -> FaceResult:
    """Run one face attempt, counted against the badge (or against all who have none) until it is known to be fair.

    The count is on disk before the camera looks, so that pulling the plug buys no attempt. An attempt in which no
    face was good enough guesses nothing and is given back, unless something was asked: leaving at a prompt that does
    not fit the recording at hand is a try like any other.
    """
    limit, subject = (FACE_OF_ANYONE, "") if badge is None else (FACE_BY_BADGE, badge)
    try:
        now = Moment(stamp.boot, stamp.mono_us)
        if gallery.limited(limit, subject, now):
            return no_face("face_locked: too many attempts with this face; use another way, or wait ten minutes")
        gallery.count_attempt(limit, subject, now)
        result = attempt()
        failed = [one for one in result.checks if one.outcome is Outcome.FAILED and one.name != "face_quality"]
        if not failed and not result.left_unanswered:
            gallery.forgive(limit, subject, None if result.worker is not None else now)
        return result
    except Exception as error:  # whatever breaks costs the face, never the attempt's record
        log.exception("face_attempt_failed")
        return no_face(_error(error))


def left(result: FaceResult) -> FaceResult:
    """Make a refusal of an attempt that its worker ended, or that comes after too many.

    As a check that could not run it would be recorded for review under the code that was typed, and that is anybody's.
    """
    checks = tuple(
        one.model_copy(update={"outcome": Outcome.FAILED}) if one.name == "face_match" and _by_choice(one) else one
        for one in result.checks
    )
    return replace(result, checks=checks)


def _by_choice(check: Check) -> bool:
    return check.outcome is Outcome.NOT_RUN and check.reason.partition(":")[0] in ("cancelled", "face_locked")


@dataclass(frozen=True, slots=True)
class Stood:
    """What came of a supervisor's confirmation."""

    checks: tuple[Check, ...]
    by: str | None = None  # the supervisor who was identified and confirmed; None: nobody
    name: str | None = None  # the worker's, told to an identified supervisor only, so that he sees for whom he stands
    challenge: ChallengeRecord | None = None


def stand_in(
    gallery: Gallery,
    worker: str,
    supervisor: str,
    pin: str | None,
    *,
    stamp: Stamp,
    an_hour: int,
    look: Callable[[str], FaceResult],
) -> Stood:
    """Identify a supervisor, by `pin` or else by `look`, who stands for a worker. Never raises a GalleryError."""
    try:
        now, limit = Moment(stamp.boot, stamp.mono_us), confirmations(an_hour)
        refused = objection(
            worker, supervisor, gallery.get(supervisor), limited=gallery.limited(limit, supervisor, now)
        )
        if refused is not None:
            return Stood((refused,))
        challenge = None
        checks: tuple[Check, ...]
        if pin is not None:
            checks = (gallery.check_pin(supervisor, pin, boot=stamp.boot, mono_us=stamp.mono_us),)
        else:
            seen = look(supervisor)
            checks, challenge = seen.checks, seen.challenge
        judged = confirmation(supervisor, checks, by_face=pin is None)
        if judged.outcome is not Outcome.PASSED:
            return Stood((*checks, judged), challenge=challenge)
        gallery.count_attempt(limit, supervisor, now)
        known = gallery.get(worker)
        return Stood((*checks, judged), supervisor, known.name if known else None, challenge)
    except Exception as error:
        log.exception("confirmation_failed")
        return Stood((Check(name=CHECK_NAME, outcome=Outcome.FAILED, reason=_error(error)),))


def _error(error: Exception) -> str:
    return f"error: {error if isinstance(error, GalleryError) else f'{type(error).__name__}: {error}'}"[:400]
