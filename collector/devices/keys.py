"""Which registered key must have signed an event: looked up by device, chain and seq, never read from the message."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from collector.devices.models import DeviceKey
from evidence.errors import UnknownKey
from evidence.keys import PublicKey


def key_for(keys: Sequence[DeviceKey], chain: str, seq: int) -> PublicKey:
    """Return the key that counts at this place. Raises evidence's UnknownKey.

    A key registered for exactly this chain goes before one registered for every chain; among equals the newest.
    """
    best: DeviceKey | None = None
    for key in keys:
        if key.chain not in (None, chain) or seq < key.first_seq or (key.last_seq is not None and seq > key.last_seq):
            continue
        if best is None or (key.chain is not None, key.id or 0) > (best.chain is not None, best.id or 0):
            best = key
    if best is None:
        raise UnknownKey(f"no registered key counts for chain {chain[:8]}… at seq {seq}")
    return parse_key(best.key)


@functools.lru_cache(maxsize=4096)  # as many terminals as one collector is asked to hold
def parse_key(text: str) -> PublicKey:
    """Read a registered key once. Raises evidence's InvalidKey."""
    return PublicKey.parse(text)
