"""What a liveness evaluation found, in the terms of ISO/IEC 30107-3: APCER of each attack species, BPCER, non-response.

The worst species counts, never a mean. An attempt is accepted when the shipped policy's demands of a face are met; what
must be reviewed is not accepted. Synthetic figures are called synthetic: they say what broke here, not how a gate does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evidence.events import Check, Method, Outcome, Verdict
from kiosk.policy import FACE_CHECKS, FACE_SIGNS, Demand, Policy, complete, judge
from zaigang.evaluation.rates import upper95

LIVING = "living"
# What the shipped policies demand of a face, without the demands of place. A clip nobody is enrolled for has no match.
FACE = Policy(name="face", face=Demand(required=FACE_CHECKS, optional=FACE_SIGNS))
CLIP = Policy(
    name="clip",
    face=Demand(required=tuple(name for name in FACE_CHECKS if name != "face_match"), optional=FACE_SIGNS),
)
NON_RESPONSE = "non_response"
BORDER_CODE = "framed"  # the reason of screen_signs that a drawn border alone gives


@dataclass(frozen=True, slots=True)
class Judged:
    """One attempt and what came of it."""

    species: str  # LIVING or an attack species
    clip: str
    checks: tuple[Check, ...]
    decision: str  # a Verdict's value, "accepted" or "refused" of an unprompted clip, or NON_RESPONSE
    judged_by: str  # "all checks" or "signals without a prompt"
    policy: Policy | None = None
    told: str = ""
    fps: float | None = None
    took_ms: int | None = None

    @property
    def accepted(self) -> bool:
        """Whether the terminal would have let it in."""
        return self.decision in (Verdict.VERIFIED, "accepted")

    def outcome(self, name: str) -> Outcome:
        """Return the outcome of a check; one that is not there has not run."""
        return next((check.outcome for check in self.checks if check.name == name), Outcome.NOT_RUN)


def decide(checks: Sequence[Check], policy: Policy) -> str:
    """Return the verdict of the policy on the checks."""
    assert policy.face is not None
    return judge(complete(checks, policy.face), policy, Method.FACE).value


def report(rows: Sequence[Judged], **about: Any) -> dict[str, Any]:
    """Return the JSON of an evaluation; `about` comes first in it."""
    answered = [row for row in rows if row.decision != NON_RESPONSE]
    living = [row for row in answered if row.species == LIVING]
    names = list(dict.fromkeys(row.species for row in rows if row.species != LIVING))
    species = {name: _attacks([row for row in answered if row.species == name]) for name in names}
    silent = Counter(row.species for row in rows if row.decision == NON_RESPONSE)
    for name, entry in species.items():
        entry["non_response"] = silent[name]
    worst = max(species, key=lambda name: (species[name]["apcer"] or 0.0, species[name]["upper95"]), default=None)
    return {
        "standard": "ISO/IEC 30107-3 terms: APCER by species, BPCER, non-response",
        **about,
        "live": {**_living(living), "non_response": silent[LIVING]},
        "species": species,
        "worst_species": worst,
        "non_response": sum(silent.values()),
        "ablation": ablation(answered),
        "clips": [_clip(row) for row in rows],
    }


def ablation(rows: Iterable[Judged]) -> dict[str, Any]:
    """Return for each species and each check how many would be accepted by it alone, and by all the others.

    `alone` counts where this check passed; `off` where the verdict is a pass with this check taken out. A check that
    did not run stops where it is required, as at the gate. `only_border_or_flash`: attempts that nothing else stopped.
    """
    table: dict[str, Any] = {}
    for row in rows:
        if row.policy is None or row.policy.face is None:
            continue
        names = (*row.policy.face.required, *row.policy.face.optional)
        entry = table.setdefault(
            row.species,
            {
                "n": 0,
                "alone": dict.fromkeys(names, 0),
                "off": dict.fromkeys(names, 0),
                "only_border_or_flash": 0,
            },
        )
        entry["n"] += 1
        for name in names:
            entry["alone"][name] += row.outcome(name) is Outcome.PASSED
            entry["off"][name] += _without(row, (name,))
        entry["only_border_or_flash"] += not row.accepted and _without(row, _border_or_flash(row))
    return table


def _border_or_flash(row: Judged) -> tuple[str, ...]:
    border = [c.name for c in row.checks if c.name == "screen_signs" and c.reason.startswith(f"{BORDER_CODE}:")]
    return ("flash", *border)


def _without(row: Judged, left_out: Sequence[str]) -> bool:
    assert row.policy is not None and row.policy.face is not None
    required = tuple(name for name in row.policy.face.required if name not in left_out)
    checks = [check for check in row.checks if check.name not in left_out]
    if not required:
        return False
    thinner = Policy(name="ablation", face=Demand(required=required))
    return decide(checks, thinner) == Verdict.VERIFIED


def _living(rows: Sequence[Judged]) -> dict[str, Any]:
    refused = sum(not row.accepted for row in rows)
    return {
        "n": len(rows),
        "refused": refused,
        "review": sum(row.decision == Verdict.REVIEW for row in rows),  # among the refused: a person decides
        "bpcer": _rate(refused, len(rows)),
        "upper95": upper95(refused, len(rows)) if rows else 1.0,
        "reasons": _reasons(rows),
    }


def _attacks(rows: Sequence[Judged]) -> dict[str, Any]:
    accepted = sum(row.accepted for row in rows)
    return {
        "n": len(rows),
        "accepted": accepted,
        "apcer": _rate(accepted, len(rows)),
        "upper95": upper95(accepted, len(rows)) if rows else 1.0,
        "reasons": _reasons(rows),
    }


def _rate(count: int, trials: int) -> float | None:
    return count / trials if trials else None


def _reasons(rows: Sequence[Judged]) -> dict[str, int]:
    """Count why attempts were not accepted: every check that failed; where none did, those that did not run."""
    found: Counter[str] = Counter()
    for row in rows:
        if row.accepted:
            continue
        failed = [check for check in row.checks if check.outcome is Outcome.FAILED]
        silent = [check for check in row.checks if check.outcome is Outcome.NOT_RUN]
        found.update(f"{check.name} {check.reason.partition(':')[0]}" for check in failed or silent)
    return dict(found.most_common())


def _clip(row: Judged) -> dict[str, Any]:
    return {
        "species": row.species,
        "clip": row.clip,
        "decision": row.decision,
        "accepted": row.accepted,
        "judged_by": row.judged_by,
        "told": row.told,
        "fps": row.fps,
        "took_ms": row.took_ms,
        "checks": [check.model_dump(mode="json", exclude_none=True) for check in row.checks],
    }
