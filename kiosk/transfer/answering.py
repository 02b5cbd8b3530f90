"""What this terminal answers to others: signed, and kept beside the counter of what was taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from evidence.keys import SigningKey
from evidence.transfer import TransferAnswer, sign_answer
from kiosk.transfer.store import Answered, Store


class Answering:
    """Answers of one terminal, signed with `key`. `now` gives RFC 3339 UTC with milliseconds."""

    def __init__(self, store: Store, key: SigningKey, *, device: str, site: str, now: Callable[[], str]) -> None:
        self._store, self._key, self._device, self._site, self._now = store, key, device, site, now

    def answer(
        self,
        message: str,
        sender: str,
        copy_id: str,
        state: Literal["held", "gone", "refused"],
        reason: str,
        *,
        expires: str,
        last: int,
        taken: int | None,
    ) -> bytes:
        """Answer the message with this hash, which ends at `expires`; return the envelope.

        `last`: the highest counter that was taken from its sender; `taken`: the message's own, where it was taken.
        Raises an IdentityError or TransferFailed.
        """
        data = self._signed(message, sender, copy_id, state, reason, last)
        self._store.keep_answer(Answered(message, sender, copy_id, state, data, expires), taken)
        return data

    def gone_unasked(self, held: Answered, reason: str) -> bytes:
        """Answer `held` anew: the copy that it says to be here went without its sender's wish. Raises as `answer`."""
        peer = self._store.peer(held.device)
        last = peer.taken if peer is not None else 0
        data = self._signed(held.message, held.device, held.copy_id, "gone", reason, last)
        self._store.keep_answer(Answered(held.message, held.device, held.copy_id, "left", data, held.expires), None)
        return data

    def _signed(
        self,
        message: str,
        sender: str,
        copy_id: str,
        state: Literal["held", "gone", "refused"],
        reason: str,
        last: int,
    ) -> bytes:
        answer = TransferAnswer(
            site=self._site,
            sender=sender,
            recipient=self._device,
            recipient_key=self._key.public.id,
            message=message,
            copy_id=copy_id,
            state=state,
            reason=reason,
            last=last,
            issued=self._now(),
        )
        return sign_answer(answer, self._key)
