"""Whether the collector's statements stand where their key counted, as the reader's handovers say (key_history.py).

Both keys of a rotation signed two things: the statement in the collector's chain, and the handover that names the
statement's place. So a reader who has the handover finds a rotation that was moved, and what the old key signed
behind it, also in a bundle that shows no rotation.
"""

from __future__ import annotations

from collections.abc import Mapping

from evidence.errors import KeyHistoryMismatch, UnknownKey
from evidence.key_history import CountingKey
from evidence.keys import PublicKey


def check_own_key(known: Mapping[PublicKey, CountingKey], key: PublicKey, after: PublicKey, place: int) -> None:
    """Check a statement at a place of the ledger, signed by `key` and, where it is a rotation, by the key `after`.

    `known` are the statement keys that the reader has. Raises RetiredKey, KeyHistoryMismatch, UnknownKey.
    """
    one = known.get(key)
    if one is None or one.upto is None:
        return
    if after == key:
        one.require(place + 1)
        return
    if place != one.upto:
        raise KeyHistoryMismatch(
            f"ledger entry {place} hands the collector's chain over, and both keys signed that entry {one.upto} does"
        )
    if after not in known:
        raise UnknownKey(f"the collector's chain goes to the key {after.fingerprint}, your handovers lead to another")
