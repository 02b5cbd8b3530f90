"""Erasing a worker, or taking back a consent, on this terminal: gone first, then signed (docs/adr/0025).

The erasure does not wait for room in the journal: a template is gone at once, and its statement follows when it can be
signed. `worker.erased` names the enrolment, never the worker.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

from evidence.events import ConsentBody, Kind, WorkerErasedBody
from kiosk.clips import Clips
from kiosk.errors import JournalError, KioskError
from kiosk.owed import Owed
from kiosk.verify.errors import GalleryTampered
from kiosk.verify.gallery import Gallery, GalleryWorker
from kiosk.verify.gallery_record import Agreement, Scope, Statement


class ErasureError(KioskError):
    """Nothing was erased; the message says why."""

    code = "erasure"


class NobodyThere(ErasureError):
    """Nobody is enrolled here under this code, or nothing was agreed to."""

    code = "nobody_there"


@dataclass(frozen=True, slots=True)
class Erased:
    """What came of it. `seqs`: of the statements; empty where they could not be signed yet and will be."""

    worker: str
    scope: str
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ErasureDesk:
    """The parts of the terminal that an erasure needs."""

    gallery: Gallery
    owed: Owed
    now: Callable[[], str]  # RFC 3339 UTC with milliseconds
    language: Literal["zh", "en"]  # of a consent whose record is older than this version
    clips: Clips | None = None  # go first: no withdrawal is signed while one is kept
    forget: Callable[[str], None] = lambda worker: None  # erases what presence has not signed yet of a worker

    def erase(self, worker: str, *, ordered: bool = False) -> Erased:
        """Erase all that lies here of a worker: face, name, PIN, consents, clips, presence that is not signed yet.

        `ordered`: by the collector, which has buried every event that names him; so no further one is signed that does,
        and the consents end with `worker.erased`, which names the enrolment.
        Raises NobodyThere, a GalleryError or a ClipError.
        """
        self._named(worker)  # of nobody no clip is looked for
        with self._no_clips(worker), self.owed.lock:
            held = self._named(worker)  # as he is now: a copy may have come meanwhile
            consents = () if ordered else self._consents(held)
            withdrawn = [consent_statement(Kind.CONSENT_WITHDRAWN, worker, one) for one in consents]
            if not self.gallery.erase(worker, [*withdrawn, *erased_statements(held)]):
                raise NobodyThere(f"nobody is enrolled here as {worker}")
            self.forget(worker)
            return Erased(worker, "all", self._signed())

    def withdraw(self, worker: str, scope: Scope) -> Erased:
        """Take back a consent: with `face` the template goes, badge and PIN stay.

        Raises NobodyThere or a GalleryError.
        """
        clips_go = self._clips_go(self._held(worker), scope)
        while True:
            with self._no_clips(worker) if clips_go else nullcontext(), self.owed.lock:
                held = self._held(worker)  # as he is now: a copy may have come meanwhile
                if clips_go or not self._clips_go(held, scope):
                    return self._withdrawn(held, scope)
            clips_go = True  # clips are closed before the gallery, here as everywhere

    def _withdrawn(self, held: GalleryWorker, scope: Scope) -> Erased:
        worker = held.worker
        given = next((one for one in self._consents(held) if one.scope == scope), None)
        if given is None:
            raise NobodyThere(f"{worker} has agreed to nothing of the scope {scope} on this terminal")
        owed = [consent_statement(Kind.CONSENT_WITHDRAWN, worker, given)]
        if _copy_goes(held, scope):
            self.gallery.drop_copy(worker, [*owed, *copy_gone(held, "consent_withdrawn")])
            return Erased(worker, scope, self._signed())
        if scope == "face" and held.models:
            owed.append(erased_statement(held, "face", "consent_withdrawn"))
        self.gallery.withdraw(worker, scope, owed)
        return Erased(worker, scope, self._signed())

    def _clips_go(self, held: GalleryWorker, scope: Scope) -> bool:
        agreed = any(one.scope == scope for one in self._consents(held))
        return agreed and (scope == "clip" or (_copy_goes(held, scope) and not held.has_pin))

    def agree(self, worker: str, scope: Literal["transfer", "clip"], text_version: str, language: str) -> Erased:
        """Keep and sign a further consent of an enrolled worker. Raises NobodyThere or a GalleryError."""
        held = self._held(worker)
        spoken: Literal["zh", "en"] = "en" if language == "en" else "zh"
        given = Agreement(scope, text_version, spoken, self.now())
        with self.owed.lock:
            self.gallery.agree(held.worker, given, [consent_statement(Kind.CONSENT_GIVEN, worker, given)])
            return Erased(worker, scope, self._signed())

    def _no_clips(self, worker: str) -> AbstractContextManager[None]:
        return nullcontext() if self.clips is None else self.clips.erasing(worker)

    def _held(self, worker: str) -> GalleryWorker:
        held = self.gallery.get(worker)
        if held is None:
            raise NobodyThere(f"nobody is enrolled here as {worker}")
        return held

    def _named(self, worker: str) -> GalleryWorker:
        try:
            return self._held(worker)
        except GalleryTampered:  # a record that nobody can read goes all the same
            return GalleryWorker(worker, "", (), has_pin=False)

    def _consents(self, held: GalleryWorker) -> tuple[Agreement, ...]:
        """What was agreed to; a face that an earlier version enrolled has its consent in the chain only."""
        if held.models and not any(one.scope == "face" for one in held.consents):
            return (Agreement("face", "", self.language, ""), *held.consents)
        return held.consents

    def _signed(self) -> tuple[int, ...]:
        """Sign now if that can be done; the keeper tries again."""
        try:
            return tuple(one.seq for one in self.owed.sign())
        except JournalError:
            return ()


def _copy_goes(held: GalleryWorker, scope: Scope) -> bool:
    return held.received is not None and scope in ("face", "transfer")  # a copy rests on both


def erased_statements(held: GalleryWorker) -> list[Statement]:
    """What proves that all of a worker is gone: what was enrolled here, and what came from another terminal."""
    if held.received is None:
        return [erased_statement(held, "all", "erased")]
    here = [erased_statement(held, "all", "erased")] if held.has_pin else []
    return [copy_erased_statement(held, "erased"), *here]


CopyGone = Literal["consent_withdrawn", "erased", "replaced", "peer_removed", "expired"]


def copy_gone(held: GalleryWorker, reason: CopyGone) -> list[Statement]:
    """What the end of a copy owes: where the whole record goes with it, also the end of the worker's other consents."""
    further = [] if held.has_pin else [one for one in held.consents if one.scope not in ("face", "transfer")]
    withdrawn = [consent_statement(Kind.CONSENT_WITHDRAWN, held.worker, one) for one in further]
    return [*withdrawn, copy_erased_statement(held, reason)]


def copy_erased_statement(held: GalleryWorker, reason: CopyGone) -> Statement:
    """What proves that a template from another terminal is gone, by the id of `transfer.received`."""
    assert held.received is not None
    body = WorkerErasedBody(
        scope="face" if held.has_pin else "all",
        enrolment=held.received.copy_id,
        template=held.received.commitment,
        reason=reason,
    )
    return Statement(Kind.WORKER_ERASED, body.model_dump(mode="json"))


def erased_statement(
    held: GalleryWorker, scope: Literal["face", "all"], reason: Literal["consent_withdrawn", "erased", "replaced"]
) -> Statement:
    """What proves an erasure without naming anybody."""
    body = WorkerErasedBody(scope=scope, enrolment=held.enrolment, template=held.commitment, reason=reason)
    return Statement(Kind.WORKER_ERASED, body.model_dump(mode="json"))


def consent_statement(
    kind: Literal[Kind.CONSENT_GIVEN, Kind.CONSENT_WITHDRAWN], worker: str, given: Agreement
) -> Statement:
    """A consent given or taken back."""
    body = ConsentBody(worker=worker, scope=given.scope, text_version=given.text_version, language=given.language)
    return Statement(kind, body.model_dump(mode="json"))
