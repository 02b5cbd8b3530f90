"""The figures that a bundle's README and PDF speak of, taken from the report of verifying that very bundle."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from evidence.bundle_gaps import CoverageFound, coverage_of
from evidence.bundle_given_up import GivenUp, given_up
from evidence.bundle_report import Report, ShownPunch
from evidence.events import CoverageBody, PresenceIntervalBody
from evidence.keys import PublicKey
from evidence.statements import COLLECTOR


@dataclass(frozen=True, slots=True)
class Terminal:
    """One chain."""

    device: str
    chain: str
    fingerprint: str
    events: int
    head_seq: int
    outside: int
    withheld: int
    erased: int
    missing: int
    late: int
    unread: int
    coverage: CoverageFound
    statements: tuple[CoverageBody, ...]
    presence: tuple[PresenceIntervalBody, ...]
    given_up: tuple[GivenUp, ...] = ()  # what was erased or declared missing, and on whose word


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is said in plain words."""

    origin: str
    about: str
    about_worker: bool
    since: str
    until: str
    made_at: str
    tree_size: int
    cosignatures: int
    timestamps: int
    revocations: int
    after_revocation: int
    policies: int
    terminals: tuple[Terminal, ...]
    punches: tuple[ShownPunch, ...]
    problems: tuple[str, ...]

    @property
    def verdicts(self) -> dict[str, int]:
        """Attempts by what counts of them."""
        return dict(sorted(Counter(str(one.verdict) for one in self.punches).items()))

    @property
    def unsynced(self) -> int:
        """Attempts under a clock that was not synchronised."""
        return sum(not one.clock_synced for one in self.punches)

    @property
    def late(self) -> dict[str, int]:
        """Attempts that came late to the collector, by the reason."""
        return dict(sorted(Counter(one.late for one in self.punches if one.late).items()))

    @property
    def authorities(self) -> dict[str, tuple[int, ...]]:
        """The ledger entries of the collector that let events go, by `erased` and `missing`."""
        found = [one for terminal in self.terminals for one in terminal.given_up]
        return {kind: tuple(sorted({one.by for one in found if one.kind == kind})) for kind in ("erased", "missing")}

    def total(self, name: str) -> int:
        """A figure over all terminals."""
        return sum(int(getattr(one, name)) for one in self.terminals)


def facts_of(report: Report, timestamps: int, policies: int, cosignatures: int) -> Facts:
    """Take the figures out of a report whose manifest could be read."""
    manifest = report.manifest
    assert manifest is not None
    scope = manifest.scope
    terminals = tuple(
        Terminal(
            device=found.entry.device,
            chain=found.entry.chain,
            fingerprint="" if found.key is None else PublicKey.parse(found.key).fingerprint,
            events=found.events,
            head_seq=found.entry.head_seq,
            outside=found.outside,
            withheld=found.withheld,
            erased=found.erased,
            missing=found.missing,
            late=found.late,
            unread=found.unread_bodies,
            coverage=coverage_of(found.coverage, scope.since, scope.until),
            statements=tuple(found.coverage),
            presence=tuple(found.presence),
            given_up=given_up(found.lines, report.statements),
        )
        for found in report.chains.values()
        if found.entry.device != COLLECTOR  # its chain authorises holes; it is no terminal
    )
    return Facts(
        origin=manifest.origin,
        about=scope.worker or scope.site or "",
        about_worker=scope.worker is not None,
        since=scope.since,
        until=scope.until,
        made_at=manifest.made_at,
        tree_size=report.tree_size or 0,
        cosignatures=cosignatures,
        timestamps=timestamps,
        revocations=len(manifest.revocations),
        after_revocation=report.after_revocation,
        policies=policies,
        terminals=terminals,
        punches=tuple(sorted(report.punches, key=lambda one: (one.time, one.leaf_index))),
        problems=tuple(str(one) for one in report.problems),
    )
