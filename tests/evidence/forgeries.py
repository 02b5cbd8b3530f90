"""What an operator who owns every key of the collector could do to a bundle and seal again, and how each is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from evidence.bundle_index import Erased, Missing, Outside, Shown, Withheld
from evidence.bundle_make import ChainPart, Parts
from evidence.checkpoint import Checkpoint, sign_checkpoint
from evidence.envelope import Envelope
from evidence.events import parse_event
from tests.evidence.bundles import LOG_SIGNER, ORIGIN, OTHER, Site, bundle, changed_chain, revocation

Change = Callable[[Site, Parts], Parts]


def sealed(site: Site, change: Callable[[Site, Parts], Parts]) -> bytes:
    return bundle(change(site, site.parts()))


def _dropped(site: Site, parts: Parts) -> Parts:
    part = parts.chains[0]
    return changed_chain(parts, "gate-1", lines=_without(part.lines, 3), envelopes=_without(part.envelopes, 3))


def _doubled(site: Site, parts: Parts) -> Parts:
    part = parts.chains[0]
    lines = [*part.lines[:3], part.lines[2], *part.lines[3:]]
    envelopes = [*part.envelopes[:3], part.envelopes[2], *part.envelopes[3:]]
    return changed_chain(parts, "gate-1", lines=lines, envelopes=envelopes)


def _moved(site: Site, parts: Parts) -> Parts:
    part = parts.chains[0]
    envelopes = list(part.envelopes)
    envelopes[2], envelopes[3] = envelopes[3], envelopes[2]
    return changed_chain(parts, "gate-1", envelopes=envelopes)


def _moved_with_its_line(site: Site, parts: Parts) -> Parts:
    part = first_chain(_moved(site, parts))
    lines = list(part.lines)
    lines[2], lines[3] = lines[3], lines[2]
    return changed_chain(parts, "gate-1", lines=lines, envelopes=part.envelopes)


def _resigned(site: Site, parts: Parts) -> Parts:
    event = parse_event(Envelope.decode(first_chain(parts).envelopes[2]).payload)
    return _replaced(parts, 2, site.entry(event, OTHER).envelope)


def _back_dated(site: Site, parts: Parts) -> Parts:
    """The terminal's own key signs the punch again, an hour earlier: an operator who owns the terminal."""
    event = parse_event(Envelope.decode(first_chain(parts).envelopes[2]).payload)
    earlier = event.model_copy(update={"time": "2026-03-01T00:10:00.000Z"})
    return _replaced(parts, 2, site.entry(earlier, site.keys["gate-1"]).envelope)


def _hidden_as_outside(site: Site, parts: Parts) -> Parts:
    part = first_chain(parts)
    lines = [*part.lines[:3], Outside(3, 3, site.entries[5].hash), *part.lines[4:]]
    return changed_chain(parts, "gate-1", lines=lines, envelopes=_without(part.envelopes, 3))


def _hidden_as_withheld(site: Site, parts: Parts) -> Parts:
    part = first_chain(parts)
    lines = [*part.lines[:3], Withheld(3, site.entries[5].hash), *part.lines[4:]]
    return changed_chain(parts, "gate-1", lines=lines, envelopes=_without(part.envelopes, 3))


def _cut_off_at_the_end(site: Site, parts: Parts) -> Parts:
    part = first_chain(parts)
    return changed_chain(parts, "gate-1", lines=part.lines[:-1], envelopes=part.envelopes[:-1])


def _another_place(site: Site, parts: Parts) -> Parts:
    part = first_chain(parts)
    line = part.lines[2]
    assert isinstance(line, Shown)
    return changed_chain(parts, "gate-1", lines=[*part.lines[:2], replace(line, leaf_index=3), *part.lines[3:]])


def _another_salt(site: Site, parts: Parts) -> Parts:
    part = first_chain(parts)
    line = part.lines[2]
    assert isinstance(line, Shown)
    return changed_chain(parts, "gate-1", lines=[*part.lines[:2], replace(line, salt=bytes(16)), *part.lines[3:]])


def _no_policy(site: Site, parts: Parts) -> Parts:
    return replace(parts, policies=[b"{}"])


def _no_key(site: Site, parts: Parts) -> Parts:
    return replace(parts, keys=parts.keys[1:])


def _forged_checkpoint(site: Site, parts: Parts) -> Parts:
    note = sign_checkpoint(Checkpoint(ORIGIN, 9, bytes(32)), replace(LOG_SIGNER, key=OTHER))
    return replace(parts, last=note.encode())


def _unconnected_first(site: Site, parts: Parts) -> Parts:
    note = sign_checkpoint(Checkpoint(ORIGIN, 4, bytes(32)), LOG_SIGNER)
    return replace(parts, first=note.encode())


def _revocation_unmarked(site: Site, parts: Parts) -> Parts:
    return replace(parts, revocations=[revocation("gate-1", 8)])


def _erased_on_nobodys_word(site: Site, parts: Parts) -> Parts:
    part = first_chain(parts)
    line = part.lines[3]
    assert isinstance(line, Shown)
    leaf = site.entries[line.leaf_index]
    tomb = Erased(3, line.leaf_index, leaf.leaf, leaf.hash, 2, line.proof)
    return changed_chain(
        parts,
        "gate-1",
        lines=[*part.lines[:3], tomb, *part.lines[4:]],
        envelopes=_without(part.envelopes, 3),
    )


def _declared_on_nobodys_word(site: Site, parts: Parts) -> Parts:
    part = first_chain(parts)
    lines = [*part.lines[:3], Missing(3, 3, 2), *part.lines[4:]]
    return changed_chain(parts, "gate-1", lines=lines, envelopes=_without(part.envelopes, 3))


def hidden_as_withheld(site: Site, parts: Parts) -> Parts:
    return _hidden_as_withheld(site, parts)


def first_chain(parts: Parts) -> ChainPart:
    return parts.chains[0]


def _without(items: Any, at: int) -> list[Any]:
    return [*items[:at], *items[at + 1 :]]


def _replaced(parts: Parts, at: int, envelope: bytes) -> Parts:
    envelopes = list(first_chain(parts).envelopes)
    envelopes[at] = envelope
    return changed_chain(parts, "gate-1", envelopes=envelopes)


# What is done, the code that names it, and the seq that it is named for.
FORGERIES: list[tuple[Change, str, int | None]] = [
    (_dropped, "hidden_gap", 4),
    (_doubled, "invalid_index", 2),
    (_moved, "invalid_index", 2),
    (_moved_with_its_line, "hidden_gap", 3),
    (_resigned, "unknown_key", 2),
    (_back_dated, "inclusion_failed", 2),
    (_hidden_as_outside, "hidden_gap", 3),
    (_hidden_as_withheld, "hidden_gap", 3),
    (_cut_off_at_the_end, "head_mismatch", None),
    (_another_place, "inclusion_failed", 2),
    (_another_salt, "inclusion_failed", 2),
    (_no_policy, "policy_missing", 2),
    (_no_key, "unknown_key", 0),
    (_forged_checkpoint, "unknown_key", None),
    (_unconnected_first, "consistency_failed", None),
    (_revocation_unmarked, "revocation_hidden", 5),
    (_erased_on_nobodys_word, "unauthorised", 3),
    (_declared_on_nobodys_word, "unauthorised", 3),
]
