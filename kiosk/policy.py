"""What a site demands, and how the outcomes of checks make a verdict. Values in, values out.

The rule (docs/protocol.md, "Verdict"):
- refused: a required check failed;
- review: a required check did not run, or any other check failed, or the policy sends this method to review, or a
  seal did not pass;
- verified: every required check and seal passed and none failed. An optional check that did not run changes nothing,
  unless it broke or could be kept from running by whoever stood there: then review.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from types import MappingProxyType
from typing import Annotated

from pydantic import Field, JsonValue, model_validator

from evidence.canonical import canonical
from evidence.events import Check, Fact, Method, Outcome, Verdict

ENCLOSURE_CHECK = "enclosure"
BROKEN = "error: "  # begins the reason of a check that an exception ended
FACE_CHECKS = ("face_quality", "challenge", "planarity", "continuity", "screen_signs", "face_match")
FACE_SIGNS = ("flash",)  # optional: a terminal may have no screen that it owns; failed, it sends a punch to review


class Demand(Fact):
    """The checks that one method of identification must, or may, pass at this site."""

    required: Annotated[tuple[str, ...], Field(min_length=1)]  # a demand of nothing would verify everybody
    optional: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _no_check_twice(self) -> Demand:
        names = self.required + self.optional
        if len(set(names)) != len(names):
            raise ValueError("a check is demanded once, either required or optional")
        return self


class Policy(Fact):
    """A site's policy: what each method demands. Its hash stands in every punch that it judged."""

    name: str
    face: Demand | None = None  # None: this site has no face path
    badge_pin: Demand | None = None
    supervisor: Demand | None = None
    review_methods: tuple[Method, ...] = (Method.SUPERVISOR,)  # always looked at by a person
    seals: tuple[str, ...] = ()  # checks of the terminal itself: unless each passed nothing is verified, by any method
    confirmations_an_hour: Annotated[int, Field(ge=1, le=1000)] = 30  # by one supervisor; a shift comes within the hour
    attempt_limit_s: Annotated[int, Field(ge=5, le=120)] = 20  # tap to verdict at most; then the attempt ends, recorded

    def demand(self, method: Method) -> Demand | None:
        """What `method` demands here; None where the site does not offer it."""
        demands: dict[Method, Demand | None] = {
            Method.FACE: self.face,
            Method.BADGE_PIN: self.badge_pin,
            Method.SUPERVISOR: self.supervisor,
        }
        return demands[method]

    def methods(self) -> tuple[Method, ...]:
        """The methods that this site offers."""
        return tuple(method for method in Method if self.demand(method) is not None)

    def sealed(self) -> Policy:
        """This policy for a terminal whose enclosure is watched: without a passed `enclosure` nothing is verified."""
        return self.model_copy(update={"seals": (ENCLOSURE_CHECK,)})

    def document(self) -> dict[str, JsonValue]:
        """The policy as JSON, as `config.applied` carries it."""
        document: dict[str, JsonValue] = self.model_dump(mode="json")
        return document

    @property
    def hash(self) -> str:
        """Hex SHA-256 of the canonical policy document."""
        return hashlib.sha256(canonical(self.document())).hexdigest()


def complete(checks: Sequence[Check], demand: Demand, seals: Sequence[str] = ()) -> tuple[Check, ...]:
    """Add a `not_run` check for everything demanded that nobody reported, so that no path can drop one."""
    reported = {check.name for check in checks}
    missing = [name for name in (*demand.required, *demand.optional, *seals) if name not in reported]
    return (
        *checks,
        *(
            Check(name=name, outcome=Outcome.NOT_RUN, reason="not_reached: the attempt ended before this check")
            for name in missing
        ),
    )


def broke(check: Check) -> bool:
    """Say whether a check could not run because something in the terminal went wrong, not for want of a sensor."""
    return check.outcome is Outcome.NOT_RUN and check.reason.startswith(BROKEN)


def _kept_dark(check: Check) -> bool:
    """Say whether the colours did not come to anything for what stood before the camera, not for want of a screen."""
    code = check.reason.partition(":")[0]
    asked = check.name in FACE_SIGNS and check.observed is not None  # colours were on the screen; else nobody asked
    return asked and check.outcome is Outcome.NOT_RUN and code in ("not_reached", "bright_room")


def judge(checks: Sequence[Check], policy: Policy, method: Method) -> Verdict:
    """Return the verdict on `checks` for `method`. Raises ValueError where the policy does not offer the method.

    A name reported twice counts with its worst outcome. A check that broke is reviewed even where nobody demands it:
    what the terminal does not know of itself, nobody should take for nothing. So is one that whoever stood there could
    keep from running (docs/adr/0068).
    """
    demand = policy.demand(method)
    if demand is None:
        raise ValueError(f"policy {policy.name!r} does not offer {method}")
    outcomes: dict[str, set[Outcome]] = {}
    for check in checks:
        outcomes.setdefault(check.name, set()).add(check.outcome)
    required = [outcomes.get(name, {Outcome.NOT_RUN}) for name in demand.required]
    if any(Outcome.FAILED in found for found in required):
        return Verdict.REFUSED
    if any(Outcome.FAILED in found for found in outcomes.values()) or any(
        broke(check) or _kept_dark(check) for check in checks
    ):
        return Verdict.REVIEW
    # A seal caps and never refuses: who stands before an opened terminal did not open it.
    required += [outcomes.get(name, {Outcome.NOT_RUN}) for name in policy.seals]
    if any(found != {Outcome.PASSED} for found in required) or method in policy.review_methods:
        return Verdict.REVIEW
    return Verdict.VERIFIED


# The non-face path meets the same demands of place as the face path: no disadvantage, and no way around the fence.
PROFILES = MappingProxyType(
    {
        "outdoor": Policy(
            name="outdoor",
            face=Demand(required=(*FACE_CHECKS, "gps"), optional=(*FACE_SIGNS, "beacon", "clock")),
            badge_pin=Demand(required=("pin", "gps"), optional=("beacon", "clock")),
            supervisor=Demand(required=("supervisor", "gps"), optional=("beacon", "clock")),
        ),
        "indoor": Policy(  # no GPS under a roof
            name="indoor",
            face=Demand(required=(*FACE_CHECKS, "beacon"), optional=(*FACE_SIGNS, "clock")),
            badge_pin=Demand(required=("pin", "beacon"), optional=("clock",)),
            supervisor=Demand(required=("supervisor", "beacon"), optional=("clock",)),
        ),
        "badge-only": Policy(  # no camera, or no consent to one
            name="badge-only",
            badge_pin=Demand(required=("pin",), optional=("gps", "beacon", "clock")),
            supervisor=Demand(required=("supervisor",), optional=("gps", "beacon", "clock")),
        ),
        "demo": Policy(
            name="demo",
            face=Demand(required=(*FACE_CHECKS, "gps", "beacon"), optional=(*FACE_SIGNS, "clock")),
            badge_pin=Demand(required=("pin", "gps", "beacon"), optional=("clock",)),
            supervisor=Demand(required=("supervisor", "gps", "beacon"), optional=("clock",)),
        ),
    }
)
