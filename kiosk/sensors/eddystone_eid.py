"""Eddystone-EID: identifiers that rotate every 2^K seconds, resolved here without a network. Pure; time is passed in.

Google's "EID Computation" (github.com/google/eddystone): AES-128 makes a temporary key from the identity key and the
upper half of the beacon's 32-bit seconds counter, and the identifier from that key and the counter. A copied identifier
is worth nothing two to three periods later, or as soon as a newer one of the same beacon was heard; a live relay is not
stopped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY_BYTES = 16  # AES-128
HIGHEST_EXPONENT = 15  # of the format: a new identifier every nine hours
COUNTER_BITS = 32
WINDOW_PERIODS = (
    2  # either side: 150 ppm are four hours in three decades, a beacon may also change late within a period
)
EID_BYTES = 8

_SALT = 0xFF


@dataclass(frozen=True, slots=True)
class EidBeacon:
    """One beacon whose key this terminal holds."""

    name: str
    key: bytes  # the identity key, 16 bytes
    exponent: int  # K: a new identifier every 2^K seconds
    zero_s: int  # Unix seconds at which the beacon's counter stood at 0

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            raise ValueError(f"an identity key has {KEY_BYTES} bytes, that of {self.name} has {len(self.key)}")
        if not 0 <= self.exponent <= HIGHEST_EXPONENT:
            raise ValueError(f"a rotation exponent lies between 0 and {HIGHEST_EXPONENT}, not {self.exponent}")

    def __repr__(self) -> str:
        """Leave the key out: a value like this ends up in logs."""
        return f"EidBeacon({self.name!r}, exponent={self.exponent})"


@dataclass(frozen=True, slots=True)
class EidMatch:
    """Whose identifier it is, and of which of its periods since its counter stood at 0."""

    name: str
    period: int


def eid(key: bytes, exponent: int, counter_s: int) -> bytes:
    """Return the 8 bytes that a beacon with this identity key sends while its counter stands at `counter_s`."""
    temporary = _encrypt(key, bytes([*bytes(11), _SALT, 0, 0, *(counter_s >> 16).to_bytes(2, "big")]))
    cleared = counter_s >> exponent << exponent
    return _encrypt(temporary, bytes([*bytes(11), exponent, *cleared.to_bytes(4, "big")]))[:EID_BYTES]


class EidBook:
    """Looks identifiers up among those that its beacons may be sending now. Not for two threads at once."""

    def __init__(self, beacons: Iterable[EidBeacon]) -> None:
        self._beacons = {beacon.name: beacon for beacon in beacons}
        self._held: dict[str, tuple[int, list[bytes]]] = {}  # by name: the period now, and what is looked for
        self._names: dict[bytes, EidMatch] = {}
        self._newest: dict[str, int] = {}
        self._good_until_s = self._good_from_s = 0.0

    def resolve(self, identifier: bytes, unix_s: float) -> EidMatch | None:
        """Return whose `identifier` is at `unix_s` (the terminal's wall clock); None: nobody's, or out of its time.

        Once a newer identifier of a beacon was heard, an older one is a copy and is not taken.
        """
        if not self._good_from_s <= unix_s < self._good_until_s:
            self._turn_to(unix_s)
        match = self._names.get(identifier)
        if match is None or match.period < self._newest.get(match.name, 0):
            return None
        self._newest[match.name] = match.period
        return match

    def forget(self) -> None:
        """Let go of every key and of what was computed from them; nobody is resolved until `take_back`.

        What was heard stays: an older identifier is a copy afterwards, too.
        """
        self._beacons, self._held, self._names = {}, {}, {}
        self._good_until_s = self._good_from_s = 0.0

    def take_back(self, beacons: Iterable[EidBeacon]) -> None:
        """Hold these keys from now on, in place of any others."""
        self.forget()
        self._beacons = {beacon.name: beacon for beacon in beacons}

    def _turn_to(self, unix_s: float) -> None:
        """Compute what every beacon may be sending, where it has not been computed before."""
        self._good_from_s, self._good_until_s = unix_s, float("inf")
        for name, beacon in self._beacons.items():
            length_s = 1 << beacon.exponent
            period = int((unix_s - beacon.zero_s) // length_s)
            self._good_until_s = min(self._good_until_s, beacon.zero_s + (period + 1) * length_s)
            before = self._held.get(name)
            if before is not None and before[0] == period:
                continue
            for old in before[1] if before is not None else ():
                self._names.pop(old, None)
            found = {period + away: self._at(beacon, period + away) for away in _AWAY if period + away >= 0}
            self._held[name] = (period, list(found.values()))
            self._names.update({one: EidMatch(name, at) for at, one in found.items()})

    def _at(self, beacon: EidBeacon, period: int) -> bytes:
        counter_s = (period << beacon.exponent) % (1 << COUNTER_BITS)
        return eid(beacon.key, beacon.exponent, counter_s)


_AWAY = range(-WINDOW_PERIODS, WINDOW_PERIODS + 1)


def _encrypt(key: bytes, block: bytes) -> bytes:
    # ECB of a single block is the bare cipher, which is what the format asks for.
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    return cipher.update(block) + cipher.finalize()
