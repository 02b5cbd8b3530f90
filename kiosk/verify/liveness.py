"""From measurements to checks, and from the checks to one rule: is a living person standing there now?

The rule: somebody did what was asked, when it was asked (challenge); what turned was not flat (planarity); it was the
same face all along (continuity); and nothing shows that a thing shows it (screen_signs). Any one failed: no. Any one
not run: unknown, which is never verified. A replayed video passes planarity: challenge and screen signs are against it.
Nothing here sees an injected one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from evidence.events import Check, Outcome
from kiosk.verify.challenge import Challenge, Stage
from kiosk.verify.continuity import Continuity
from kiosk.verify.flash import FlashResponse
from kiosk.verify.planarity import MIN_POINTS, PlaneFit
from kiosk.verify.screen_signs import SignsSeen

LIVENESS_CHECKS = ("challenge", "planarity", "continuity", "screen_signs")
OPTIONAL_CHECKS = ("flash",)  # may be not_run: a second prompt then stands in; failed, it counts as the others do


@dataclass(frozen=True, slots=True)
class PlanarityLimits:
    """When movement is a head's, and when it is paper's.

    Calibrated, not tested, on these: the limits and the choice of points were set after looking at them. One real
    clip of one man, nine overlapping stretches (some played backwards): residual 0.13-0.46 eye distances, 84-92 %
    outliers. Two synthetic heads turned by 20 degrees: 0.067-0.17, 75-85 %. Four portraits on simulated paper swung by
    38 degrees: flat 0.004-0.007, at most 7 %; bent by 28-45 degrees of arc 0.008-0.014, at most 30 %; bent by 60
    degrees 0.013-0.018, at most 47 %. The limits lie midway. No real paper has been tried.
    """

    turn_deg: float = 15.0  # of the mesh; smaller turns of a head overlap with bent paper
    residual: float = 0.035  # eye distances
    outliers: float = 0.62
    # A plane squeezed this much has been tilted by 30 degrees and more, and the mesh on paper hardly turns with it (5
    # degrees): so paper is convicted that never answers a prompt. A head that far round is no plane any more.
    squeeze: float = 0.86
    squeezed_residual: float = 0.025
    # A face swapped for another under the points is chaos, which fits a plane even worse than a head does. Measured,
    # the worst step of the living: the clip at 4-25 fps 0.10-0.26; synthetic heads turned by 28-35 degrees in
    # 250-600 ms at 10-30 fps 0.24, with 150 ms unseen amid the turn 0.27. Hard swaps of the two portraits, aligned by
    # the eyes or 20 and 40 px off, at 0-21 degrees: 0.49-1.03. Faces that melt into each other, as on a screen, mostly
    # stay below, from two frames on nearly always: nothing here stops them.
    tear: float = 0.38  # eye distances
    # Paper drawn away takes a part of the points a frame: such swaps kept up to 0.62 where they tore nothing. The worst
    # of nine stretches of the clip kept 0.86 at 25 fps, 0.74 at 12, 0.65 at 8 and, below this limit, 0.59 at 6.
    kept: float = 0.64  # share of the points


@dataclass(frozen=True, slots=True)
class ScreenLimits:
    """When a sign is a sign.

    A frame must be seen twice: of 60 looks at synthetic living people and 50 at the real clip none showed one, of 32 at
    phones and tablets 30 did. Peaks of the spectrum: living at most 3.7, real faces at most 3.6, a screen whose grid
    comes through by 2 % and more above 9; by 1 % and less it is not seen. What is behind the face wanders before a
    bolted camera by at most 0.4 thousandths of the picture (synthetic living people: the sensor's noise), on screens
    that fill the picture in a synthetic hand of 1.5 px mostly by 1.2 and more. No real hand has been measured.
    """

    looks: int = 2  # fewer say nothing
    framed: int = 2
    moire: float = 6.0
    wander: float = 0.9  # thousandths of the picture's width: 0.6 px of 640


def alive(checks: Iterable[Check]) -> Outcome:
    """Fuse the checks of liveness; a missing one counts as not run."""
    outcomes = {check.name: check.outcome for check in checks}
    if any(outcomes.get(name) is Outcome.FAILED for name in OPTIONAL_CHECKS):
        return Outcome.FAILED
    found = [outcomes.get(name, Outcome.NOT_RUN) for name in LIVENESS_CHECKS]
    if Outcome.FAILED in found:
        return Outcome.FAILED
    return Outcome.NOT_RUN if Outcome.NOT_RUN in found else Outcome.PASSED


_CHALLENGE_SENTENCES = {
    "no_answer": "what was asked was not done in time",
    "wrong_answer": "something else was done than what was asked",
    "too_early": "the answer came sooner than anybody can read and move",
    "moved_before_prompt": "the head kept moving before anything was asked",
}


def challenge_check(challenge: Challenge) -> Check:
    """Judge a challenge that passed or failed; while it is open it is not_run."""
    asked = [prompt.ask.value for prompt in challenge.prompts]
    expected = {"within_ms": challenge.rules.window_ms, "not_before_ms": challenge.rules.earliest_ms}
    if challenge.stage is Stage.PASSED:
        reason, outcome = "ok: everything that was asked was done in time", Outcome.PASSED
    elif challenge.stage is Stage.FAILED:
        reason, outcome = f"{challenge.code}: {_CHALLENGE_SENTENCES[challenge.code]}", Outcome.FAILED
    else:
        reason, outcome = "not_reached: the attempt ended before the answer", Outcome.NOT_RUN
    return Check(name="challenge", outcome=outcome, observed={"asked": asked}, expected=dict(expected), reason=reason)


def planarity_check(fit: PlaneFit | None, limits: PlanarityLimits) -> Check:
    """Judge how a face moved through a turn; None: no turn was asked for."""
    if fit is None:
        return _planarity(Outcome.NOT_RUN, "too_little_turn", "no turn was asked for or begun", fit)
    if fit.tear >= limits.tear:
        return _planarity(
            Outcome.FAILED, "face_changed", "the face did not move on, another picture took its place", fit
        )
    if fit.points >= MIN_POINTS and fit.squeeze <= limits.squeeze and fit.squeezed_residual < limits.squeezed_residual:
        return _planarity(Outcome.FAILED, "flat", "what was turned stayed flat as paper does", fit)
    if abs(fit.turn_deg) < limits.turn_deg:
        return _planarity(Outcome.NOT_RUN, "too_little_turn", "no turn was large enough to tell a head from paper", fit)
    if fit.points < MIN_POINTS or fit.kept < limits.kept:
        return _planarity(Outcome.NOT_RUN, "points_lost", "too few points of the face could be followed", fit)
    if fit.residual >= limits.residual and fit.outliers >= limits.outliers:
        return _planarity(Outcome.PASSED, "ok", "the face moved as a head does", fit)
    return _planarity(Outcome.FAILED, "flat", "the face moved as flat or bent paper does", fit)


def turns_check(fits: Sequence[PlaneFit], limits: PlanarityLimits) -> Check:
    """Judge every turn of an attempt: one that failed decides, then one that could not be judged."""
    checks = [planarity_check(fit, limits) for fit in fits] or [planarity_check(None, limits)]
    for outcome in (Outcome.FAILED, Outcome.NOT_RUN):
        for check in checks:
            if check.outcome is outcome:
                return check
    return checks[0]


def continuity_check(continuity: Continuity, *, changed: bool = False) -> Check:
    """Judge whether one face was followed from the first prompt to the last answer; `changed`: it is not the same."""
    observed = {"frames": continuity.frames, "longest_gap_ms": continuity.longest_gap_us // 1000}
    expected = {"gap_ms_at_most": continuity.allowed_gap_us // 1000}
    if continuity.code == "face_lost":
        outcome, reason = Outcome.FAILED, "face_lost: the face was out of sight between prompt and match"
    elif continuity.code == "face_changed" or changed:
        outcome, reason = Outcome.FAILED, "face_changed: another face stood where the first had been"
    else:
        outcome, reason = Outcome.PASSED, "ok: the same face was in sight from the prompt to the match"
    return Check(name="continuity", outcome=outcome, observed=dict(observed), expected=dict(expected), reason=reason)


def screen_check(seen: SignsSeen, limits: ScreenLimits) -> Check:
    """Judge what was seen round and in the face. The reason names the first sign; `observed` has all."""
    signs = {
        "framed": seen.framed >= limits.framed,
        "moire": seen.moire >= limits.moire,
        "replayed": seen.replayed,
        "held": seen.wander >= limits.wander,
    }
    observed: dict[str, JsonValue] = {"looks": seen.looks, "signs": [name for name, shown in signs.items() if shown]}
    if seen.unmeasured:
        observed["unmeasured"] = list(seen.unmeasured)
    # The border last: what it alone convicts is told from what shows in the picture itself.
    for name in ("replayed", "moire", "held", "framed"):
        if signs[name]:
            reason, outcome = f"{name}: {_SIGN_SENTENCES[name]}", Outcome.FAILED
            break
    else:
        reason, outcome = "ok: nothing shows a screen or a print", Outcome.PASSED
        if seen.looks < limits.looks:
            reason, outcome = "not_reached: the face was not in sight long enough to look for a screen", Outcome.NOT_RUN
    return Check(name="screen_signs", outcome=outcome, observed=observed, reason=reason)


_SIGN_SENTENCES = {
    "framed": "a rectangle frames the face as the edge of a screen or a print does",
    "moire": "the pixels of a screen show in the face",
    "replayed": "the same movement was before this camera already",
    "held": "all that is behind the face moves as one, as a picture does that a hand holds up",
}


@dataclass(frozen=True, slots=True)
class FlashLimits:
    """When a face answers the screen. Chosen on the synthetic stage alone: nobody has measured a real screen yet."""

    painted: int = 3
    fit: float = 0.7
    gain: float = 0.03  # of the face's own level, under the screen's white: a dim screen in a lit room
    over_background: float = 2.0  # times the background's: the wall is further away
    bright: float = 0.45  # ambient level, linear, above which a screen no longer shows on a face


def flash_check(response: FlashResponse | None, limits: FlashLimits, *, excused: bool = False) -> Check:
    """Judge how the face answered the screen's colours; None: this terminal does not flash, or not at this worker."""
    if excused:
        return _flash(Outcome.NOT_RUN, "excused", "this worker is not lit by the screen, as agreed", None)
    if response is None:
        return _flash(Outcome.NOT_RUN, "switched_off", "this terminal does not light the face with its screen", None)
    if response.painted < limits.painted and not response.acknowledged:
        return _flash(Outcome.NOT_RUN, "no_acknowledgement", "the page did not say when it painted", response)
    if response.painted < limits.painted:
        return _flash(Outcome.NOT_RUN, "not_reached", "the attempt was over before enough colours were shown", response)
    answered = response.face_fit >= limits.fit and response.face_gain >= limits.gain
    if answered and response.face_gain >= limits.over_background * response.background_gain:
        return _flash(Outcome.PASSED, "ok", "the face answered the colours of the screen", response)
    if response.ambient >= limits.bright:
        return _flash(Outcome.NOT_RUN, "bright_room", "the room is too bright for the screen to show", response)
    if not response.held:  # an automatic exposure may have undone what the face answered
        return _flash(Outcome.NOT_RUN, "exposure_free", "the camera could not hold its exposure meanwhile", response)
    return _flash(Outcome.FAILED, "no_reflection", "the face did not answer the colours of the screen", response)


def _flash(outcome: Outcome, code: str, sentence: str, response: FlashResponse | None) -> Check:
    observed = None if response is None else {"painted": response.painted}
    return Check(name="flash", outcome=outcome, observed=observed, reason=f"{code}: {sentence}")


def _planarity(outcome: Outcome, code: str, sentence: str, fit: PlaneFit | None) -> Check:
    observed = None if fit is None else {"turn_deg": round(abs(fit.turn_deg)), "points": fit.points}
    return Check(name="planarity", outcome=outcome, observed=observed, reason=f"{code}: {sentence}")
