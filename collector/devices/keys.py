"""Which registered key must have signed an event: looked up by device, chain and seq, never read from the message.

A rotation that was admitted narrows the key before to what it has signed, and registers the one after it: for the rest
of that chain, and for chains that the terminal opens later.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from sqlmodel import Session, select

from collector.devices.models import DeviceKey
from collector.errors import KeyMismatch
from collector.ledger.models import Chain
from evidence.errors import UnknownKey
from evidence.keys import PublicKey


def key_for(keys: Sequence[DeviceKey], chain: str, seq: int) -> PublicKey:
    """Return the key that counts at this place. Raises evidence's UnknownKey.

    A key registered for exactly this chain goes before one registered for every chain; among equals the newest.
    """
    return parse_key(_counting(keys, chain, seq).key)


def _counting(keys: Sequence[DeviceKey], chain: str, seq: int) -> DeviceKey:
    best: DeviceKey | None = None
    for key in keys:
        if key.chain not in (None, chain) or seq < key.first_seq or (key.last_seq is not None and seq > key.last_seq):
            continue
        if best is None or (key.chain is not None, key.id or 0) > (best.chain is not None, best.id or 0):
            best = key
    if best is None:
        raise UnknownKey(f"no registered key counts for chain {chain[:8]}… at seq {seq}")
    return best


def counting_now(keys: Sequence[DeviceKey]) -> PublicKey:
    """Return the key that counts for what a device signs from now on. Raises evidence's UnknownKey."""
    general = [key for key in keys if key.chain is None and key.last_seq is None]
    if not general:
        raise UnknownKey("no registered key counts for this terminal now")
    return parse_key(max(general, key=lambda key: key.id or 0).key)


def require_unused(session: Session, key: PublicKey) -> None:
    """Raise KeyMismatch for a key that is or was registered: no two terminals share one, and none comes back."""
    held = session.exec(select(DeviceKey).where(DeviceKey.key_id == key.id)).first()
    if held is not None:
        raise KeyMismatch(f"the rotation brings a key that is registered for {held.device}; a successor is a new key")


def rotate(session: Session, keys: list[DeviceKey], chain: str, seq: int, new: PublicKey, at: str) -> None:
    """Have `new` count after `seq` of `chain` and for later chains, in `keys` and in the database.

    The key before keeps what it has signed: this chain up to `seq`, and the other chains that the device has begun.
    """
    before = _counting(keys, chain, seq)
    device, signed = before.device, before.key
    general = [key for key in keys if key.chain is None and key.key == signed]
    begun = session.exec(select(Chain.chain).where(Chain.device == device)).all() if general else ()
    named = {key.chain for key in keys}
    if before.chain is None:
        before.chain, before.last_seq = chain, seq
    else:
        before.last_seq = seq
        for key in general:
            keys.remove(key)
            session.delete(key)
    kept = [one for one in begun if general and one != chain and one not in named]
    added = [DeviceKey(device=device, key=signed, key_id=before.key_id, chain=one, added_at=at) for one in kept]
    for place in (None, chain):
        first = 0 if place is None else seq + 1
        added.append(DeviceKey(device=device, key=new.text(), key_id=new.id, chain=place, first_seq=first, added_at=at))
    session.add_all([before, *added])
    session.flush()  # the rows have their ids, by which `key_for` chooses among equals
    keys.extend(added)


def reenrol(session: Session, device: str, new: PublicKey, at: str) -> None:
    """Have `new` count for the chains that `device` opens from now on; earlier keys keep what they have signed."""
    keys = list(session.exec(select(DeviceKey).where(DeviceKey.device == device)))
    general = [key for key in keys if key.chain is None]
    if any(key.key_id == new.id for key in general):
        return
    begun = session.exec(select(Chain.chain).where(Chain.device == device)).all()
    named = {key.chain for key in keys}
    for key in general:
        for chain in begun:
            if chain not in named:
                session.add(
                    DeviceKey(device=device, key=key.key, key_id=key.key_id, chain=chain, added_at=key.added_at)
                )
        session.delete(key)
    session.add(DeviceKey(device=device, key=new.text(), key_id=new.id, added_at=at))


@functools.lru_cache(maxsize=4096)  # as many terminals as one collector is asked to hold
def parse_key(text: str) -> PublicKey:
    """Read a registered key once. Raises evidence's InvalidKey."""
    return PublicKey.parse(text)
