"""Which terminals faces go to and come from: those whose fingerprint somebody compared while standing at this one.

The collector passes cards on and can withhold them; it cannot put a terminal of its own in another's place. A key that
was rotated is followed, for the confirmed one has signed that; any other key has to be confirmed anew.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any, Literal

import structlog

from evidence.errors import TransferMismatch
from evidence.events import Kind, TransferPeerBody
from evidence.keys import PublicKey, SigningKey
from evidence.transfer import MAX_ROTATIONS, PeerCard, follows, read_card, sign_card
from kiosk.errors import BadRequest, UnknownPeer
from kiosk.journal import Journal
from kiosk.transfer.store import Peer, Store
from kiosk.transfer.transfer_key import TransferKey

MAX_STRANGERS = 64  # cards that wait for somebody; a site has fewer gates
_CHAIN = "chain"  # note: id of the journal's chain in which the peers were confirmed
_KEY_OF = "transfer_key_of"  # note: id of the signing key for which the transfer key was made

log = structlog.get_logger(__name__)


class Peers:
    """This terminal's card, and those of others. `now` gives RFC 3339 UTC with milliseconds. Any thread."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        key: SigningKey,
        transfer_key: TransferKey,
        *,
        device: str,
        site: str,
        now: Callable[[], str],
    ) -> None:
        self._store, self._journal, self._key, self._transfer_key = store, journal, key, transfer_key
        self._device, self._site, self._now = device, site, now
        self._lock = threading.RLock()
        self._card: tuple[PublicKey, bytes] | None = None

    def card(self) -> bytes:
        """Return this terminal's card, signed by the key that counts now. Raises an IdentityError or TransferFailed."""
        with self._lock:
            signing = self._key.public
            if self._card is not None and self._card[0] == signing:
                return self._card[1]
            made_for = self._store.note(_KEY_OF)
            if made_for != signing.id:
                if made_for is not None:
                    self._transfer_key.renew()
                self._store.keep_note(_KEY_OF, signing.id)
            rotations = reversed(self._journal.newest([Kind.DEVICE_KEY_ROTATED], MAX_ROTATIONS))
            card = PeerCard(
                device=self._device,
                site=self._site,
                key=signing.text(),
                transfer_key=base64.b64encode(self._transfer_key.public).decode(),
                issued=self._now(),
                rotations=tuple(base64.b64encode(one).decode() for one in rotations),
            )
            data = sign_card(card, self._key)
            if self._key.public == signing:  # else it was rotated in this moment, and the next card is right
                self._card = (signing, data)
            return data

    @property
    def same_chain(self) -> bool:
        """False once this terminal has begun another chain, until `hold_to_chain` has removed every peer."""
        known = self._store.note(_CHAIN)
        return known is None or known == self._journal.head.chain

    def hold_to_chain(self) -> None:
        """Remove every peer once another chain has begun: the disk may be an old copy, with faces that were erased.

        Raises TransferFailed or a JournalError, and nobody is confirmed until this has been done.
        """
        with self._lock:
            chain, known = self._journal.head.chain, self._store.note(_CHAIN)
            if known == chain:
                return
            for peer in self._store.peers() if known is not None else []:
                if peer.state == "confirmed":
                    self._sign(peer.device, peer.key, "removed", "this terminal: a new chain began, confirm anew")
                    self._store.keep_peer(peer.device, peer.key, "removed", peer.card)
            self._store.keep_note(_CHAIN, chain)

    def take(self, data: bytes) -> None:
        """Take another terminal's card. Raises an EvidenceError, TransferFailed or a JournalError."""
        card = read_card(data)
        if card.site != self._site or card.device == self._device:
            raise TransferMismatch(f"the card of {card.site}/{card.device} is of no other terminal of this site")
        with self._lock:
            known = self._store.peer(card.device)
            if known is not None and known.card == data:
                return
            if known is None or not follows(card, known.public):
                if not self._store.keep_stranger(card.device, data, MAX_STRANGERS):
                    log.warning("card_not_kept", device=card.device, why="too many wait to be confirmed")
                return
            if known.key != card.key and known.state == "confirmed":
                self._sign(card.device, card.key, "followed", "")
            self._store.keep_peer(card.device, card.key, known.state, data, follows=True)
            self._store.forget_stranger(card.device)

    def confirm(self, device: str, fingerprint: str, by: str) -> PublicKey:
        """Exchange faces with a terminal whose fingerprint was read off that terminal itself, and compared.

        `fingerprint`: 16 or 64 hex digits. Returns its key. Raises UnknownPeer, BadRequest, TransferFailed or a
        JournalError.
        """
        digits = "".join(fingerprint.split()).lower()
        if len(digits) not in (16, 64) or set(digits) - set("0123456789abcdef"):
            raise BadRequest("a fingerprint has four groups of four digits, as the other terminal shows it")
        if not by.strip() or len(by) > 400:
            raise BadRequest("by: who compared the fingerprints, 1 to 400 characters, for it is signed")
        with self._lock:
            known = self._store.peer(device)
            shown = [self._store.strangers().get(device), known.card if known is not None else None]
            cards = [(data, read_card(data)) for data in shown if data is not None]
            if not cards:
                raise UnknownPeer(f"no card of {device} has come; is it on, of this site, and has it [transfer], too?")
            fitting = [one for one in cards if PublicKey.parse(one[1].key).id.startswith(digits)]
            if not fitting:
                seen = PublicKey.parse(cards[0][1].key).fingerprint
                raise UnknownPeer(
                    f"what came as {device} has the fingerprint {seen}: it is not the terminal that you read it off, "
                    "or a digit is wrong; confirm nothing that differs"
                )
            data, card = fitting[0]
            self._sign(device, card.key, "confirmed", by.strip())
            self._store.keep_peer(device, card.key, "confirmed", data)
            self._store.forget_stranger(device)
            return PublicKey.parse(card.key)

    def remove(self, device: str, by: str) -> None:
        """Exchange nothing more with a terminal; what was exchanged is erased at both ends.

        Raises UnknownPeer, BadRequest, TransferFailed or a JournalError.
        """
        if not by.strip() or len(by) > 400:
            raise BadRequest("by: who wants it, 1 to 400 characters, for it is signed")
        with self._lock:
            known = self._store.peer(device)
            if known is None or known.state != "confirmed":
                raise UnknownPeer(f"{device} is not confirmed here")
            self._sign(device, known.key, "removed", by.strip())
            self._store.keep_peer(device, known.key, "removed", known.card)

    def confirmed(self) -> dict[str, tuple[Peer, PeerCard]]:
        """Those that faces may be sent to now, by name, each with its card."""
        found: dict[str, tuple[Peer, PeerCard]] = {}
        if not self.same_chain:
            return found
        for peer in self._store.peers():
            if peer.state == "confirmed" and peer.card is not None:
                found[peer.device] = (peer, read_card(peer.card))
        return found

    def listed(self) -> list[dict[str, Any]]:
        """Every terminal that is or could be a peer, for operators. No worker is named."""
        tally = self._store.tally()
        strangers = self._store.strangers()
        rows: list[dict[str, Any]] = []
        for peer in self._store.peers():
            mine = [one[1:] for one in tally if one[0] == peer.device]
            rows.append(
                {
                    "device": peer.device,
                    "fingerprint": peer.public.fingerprint,
                    "state": "changed" if peer.device in strangers else peer.state,
                    "seen": _fingerprint(strangers.pop(peer.device, None)),
                    "held": sum(n for state, _, _, n in mine if state == "held"),
                    "waiting": sum(n for _, _, waiting, n in mine if waiting),
                    "refused": sorted({why.partition(":")[0] for state, why, _, _ in mine if state == "refused"}),
                }
            )
        for device, card in sorted(strangers.items()):
            seen = _fingerprint(card)
            rows.append(
                {
                    "device": device,
                    "fingerprint": seen,
                    "state": "unconfirmed",
                    "seen": seen,
                    "held": 0,
                    "waiting": 0,
                    "refused": [],
                }
            )
        return rows

    def _sign(self, device: str, key: str, state: Literal["confirmed", "followed", "removed"], by: str) -> None:
        body = TransferPeerBody(device=device, key=key, state=state, by=by)
        self._journal.append(Kind.TRANSFER_PEER, body)
        log.warning("transfer_peer", device=device, state=state, key=PublicKey.parse(key).fingerprint)


def _fingerprint(card: bytes | None) -> str | None:
    return None if card is None else PublicKey.parse(read_card(card).key).fingerprint
