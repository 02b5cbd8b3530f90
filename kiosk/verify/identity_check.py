"""Whose face is it? The check `face_match`: the claim or the gallery is looked up, compared, and put in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evidence.events import Check, Outcome
from kiosk.verify.matcher import Likeness, Match, MatchLimits, identify, verify

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kiosk.verify.gallery import Gallery

NAME = "face_match"


@dataclass(frozen=True, slots=True)
class Identity:
    """The check, and who it is where it passed."""

    check: Check
    worker: str | None = None
    name: str | None = None


def identity_check(
    vector: NDArray[np.float32],
    model_id: str,
    gallery: Gallery,
    badge: str | None,
    limits: MatchLimits,
    identify_at_most: int,
) -> Identity:
    """Compare a face with the badge's (1:1), or with everyone's (1:N, up to `identify_at_most`).

    Raises GalleryError, and ValueError for vectors that cannot be compared; the caller makes them not_run.
    """
    if badge is not None:
        return _claimed(vector, model_id, gallery, badge, limits)
    lineup = gallery.lineup(model_id, unit_length=limits.unit_length)
    if not len(lineup):
        return Identity(_check(Outcome.NOT_RUN, "gallery_empty: nobody has enrolled a face here", model_id))
    if len(lineup) > identify_at_most:
        reason = f"badge_needed: recognition without a badge is for at most {identify_at_most} workers; use the badge"
        return Identity(_check(Outcome.NOT_RUN, reason, model_id))
    match = identify(vector, lineup, limits)
    sentences = {
        Likeness.FAR: "no_match: the face is none of those enrolled here",
        Likeness.AMBIGUOUS: "ambiguous: the face is about equally near to two workers; use the badge",
    }
    return _identity(match, sentences, model_id, f"1:{len(lineup)}")


def _claimed(vector: NDArray[np.float32], model_id: str, gallery: Gallery, badge: str, limits: MatchLimits) -> Identity:
    template = gallery.template(badge, model_id)
    if template is not None:
        sentences = {Likeness.FAR: "no_match: the face is not the one enrolled under this badge"}
        return _identity(verify(vector, template, limits), sentences, model_id, "1:1")
    enrolled = gallery.get(badge)
    if enrolled is not None and enrolled.models and enrolled.received is not None:
        reason = "not_enrolled: another terminal's copy of the face is overdue, or of another model; enrol it here"
    elif enrolled is not None and enrolled.models:
        reason = "not_enrolled: the face was enrolled with another model; enrol again"
    else:
        reason = "not_enrolled: no face is enrolled here under this badge"
    return Identity(_check(Outcome.NOT_RUN, reason, model_id))


def _identity(match: Match, sentences: dict[Likeness, str], model_id: str, compared: str) -> Identity:
    observed = {"likeness": match.likeness.value, "compared": compared}
    if match.likeness is Likeness.NEAR and match.template is not None:
        check = _check(Outcome.PASSED, "ok: the face is the enrolled one", model_id, observed)
        return Identity(check, match.template.worker, match.template.name)
    return Identity(_check(Outcome.FAILED, sentences[match.likeness], model_id, observed))


def _check(outcome: Outcome, reason: str, model_id: str, observed: dict[str, str] | None = None) -> Check:
    return Check(
        name=NAME,
        outcome=outcome,
        observed=None if observed is None else dict(observed),
        expected=None if observed is None else {"likeness": Likeness.NEAR.value},
        reason=reason,
        model=model_id,
    )
