"""Whether the manifest tells the history of keys as the collector stated it in the ledger, in this very bundle.

The manifest is sealed anew with every bundle, a statement is a ledger entry: who could move a revocation in the
manifest would decide which events still count. So a revocation without its statement does not stand, and one that is
shown must be in the manifest.
"""

from __future__ import annotations

from evidence.bundle_chain import Bundle
from evidence.errors import KeyHistoryMismatch, RevocationMismatch

REVOKES = "device.revoked"
APPROVES = "device.approved"


def check_history(bundle: Bundle) -> None:
    """Hold revocations and key history against the statements shown; problems go into the report.

    A shown approval that names a key: the manifest has this key for the device from seq 0 of some chain on.
    """
    devices = {chain.device for chain in bundle.manifest.chains}
    said = {(one.device, one.from_index) for one in bundle.manifest.revocations}
    stated: dict[tuple[str, int], int] = {}
    for place, event in sorted(bundle.report.statements.items()):
        device, since, key = (event.body.get(name) for name in ("device", "from_index", "key"))
        if not isinstance(device, str) or device not in devices:
            continue
        if event.kind == REVOKES and type(since) is int:  # true is an int, too
            stated.setdefault((device, since), place)
        elif event.kind == REVOKES:
            unreadable = RevocationMismatch(f"ledger entry {place} revokes {device}, and from where on cannot be read")
            bundle.report.add(unreadable, "manifest.json")
        if event.kind == APPROVES and key is not None:
            _check_approval(bundle, place, device, key)
    for name, start in sorted(said - stated.keys()):
        bundle.report.add(
            RevocationMismatch(
                f"the manifest has {name} revoked from ledger entry {start} on, and no statement of the collector in "
                f"this bundle says so{_instead(name, stated)}"
            ),
            "manifest.json",
        )
    for (revoked, since), place in stated.items():
        if (revoked, since) not in said:
            bundle.report.add(
                RevocationMismatch(
                    f"ledger entry {place} revokes {revoked} from entry {since} on, which the manifest does not say"
                ),
                "manifest.json",
            )


def _check_approval(bundle: Bundle, place: int, device: str, key: object) -> None:
    if any((one.device, one.key, one.first_seq) == (device, key, 0) for one in bundle.manifest.keys):
        return
    bundle.report.add(
        KeyHistoryMismatch(f"ledger entry {place} approves a key of {device} that the manifest's key history has not"),
        "manifest.json",
    )


def _instead(device: str, stated: dict[tuple[str, int], int]) -> str:
    others = [f"entry {place} says from {since}" for (named, since), place in stated.items() if named == device]
    return f" ({'; '.join(others)})" if others else ""
