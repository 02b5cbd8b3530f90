"""Makes bundles: reads one state of the ledger, puts it together, checks it as any reader would, seals it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlmodel import Session, col, func, select

from collector.database import Database
from collector.erasure.models import ErasedEvent
from collector.errors import Conflict, Invalid, NotFound
from collector.evidence_bundles.authorities import Authorities, own_chain, statement_keys
from collector.evidence_bundles.checkpoint_choice import choose_checkpoint, cosigned_note, tokens_of
from collector.evidence_bundles.facts import Facts, facts_of
from collector.evidence_bundles.foresight import Foresight, foresee
from collector.evidence_bundles.models import MadeBundle
from collector.evidence_bundles.punch_table import punch_csv
from collector.evidence_bundles.readme import readme_en, readme_zh
from collector.evidence_bundles.selection import Selected, chains_of, keys_of, revocations_of, select_chain
from collector.ledger.checkpoints import Checkpoints
from collector.ledger.models import Chain, SignedCheckpoint
from collector.ledger.tree import Tree
from collector.statements.current_keys import current_key, require_current
from collector.statements.handovers import handovers_of
from collector.timestamps import utc_now
from evidence.bundle import verify_bundle
from evidence.bundle_make import Parts, make_bundle
from evidence.bundle_manifest import Scope
from evidence.errors import EvidenceError
from evidence.key_history import read_checkpoint
from evidence.keys import Ed25519Key
from evidence.note import Note
from evidence.trust import BundleTrust, CollectorTrust

Tell = Callable[[str, int, int], None]  # which step, how many of how many
Picture = Callable[[Facts], bytes]  # the PDF
NOTHING_SHOWN = "no checkpoint of the ledger can be shown yet: it is empty, or its witnesses are away"


@dataclass(frozen=True, slots=True)
class Made:
    """A bundle and what stands in it."""

    data: bytes
    facts: Facts
    sha256: str


class EvidenceBundles:
    """Bundles of one collector."""

    def __init__(
        self, database: Database, checkpoints: Checkpoints, receipt: Ed25519Key, witnesses_needed: int = 0
    ) -> None:
        self._database = database
        self._witnesses_needed = witnesses_needed
        self._checkpoints = checkpoints
        self._receipt = receipt

    def make(
        self,
        scope: Scope,
        made_by: str,
        *,
        kept: bytes | None = None,
        picture: Picture | None = None,
        tell: Tell = lambda _step, _done, _of: None,
    ) -> Made:
        """Make a bundle and keep a record of who had it made.

        `kept` is a checkpoint that the reader holds from before; the bundle then proves that the ledger only grew
        since. Raises NotFound where the ledger has nothing about this, Invalid for a checkpoint of another ledger,
        Conflict for one that the ledger has not grown from, and what signing a checkpoint raises.
        """
        with self._database.read() as session:
            require_current(session, {"receipt": self._receipt.public})
        self._checkpoints.sign()
        parts = self._parts(scope, kept, tell)
        tell("verify", 0, 1)
        facts = self._facts(parts)
        others = {
            "README.en.txt": readme_en(facts).encode(),
            "README.zh.txt": readme_zh(facts).encode(),
            "not-authoritative/punches.csv": punch_csv(facts),
        }
        if picture is not None:
            tell("picture", 0, 1)
            others["not-authoritative/report.pdf"] = picture(facts)
        data = make_bundle(replace(parts, others=others), self._receipt)
        digest = hashlib.sha256(data).hexdigest()
        self._record(scope, made_by, facts, digest, len(data))
        tell("done", 1, 1)
        return Made(data, facts, digest)

    def foresee(self, scope: Scope) -> Foresight:
        """Count what a bundle made now would have in it. Raises NotFound where it could not be made."""
        with self._database.read() as session:
            last = choose_checkpoint(session, scope, self._witnesses_needed)
            if last is None:
                raise NotFound(NOTHING_SHOWN)
            found = foresee(session, scope, last.size)
        if not found.chains:
            raise NotFound(_nothing_about(scope))
        return found

    def erased(self) -> int:
        """Count the ledger's entries that were ever erased: a bundle from before the last of them has too much."""
        with self._database.read() as session:
            return session.exec(select(func.count()).select_from(ErasedEvent)).one()

    def made(self, limit: int = 500) -> list[MadeBundle]:
        """Return the record, newest first."""
        with self._database.read() as session:
            return list(session.exec(select(MadeBundle).order_by(col(MadeBundle.id).desc()).limit(limit)))

    def trust(self) -> BundleTrust:
        """What a reader writes down of this collector at provisioning. Never to be taken from the evidence itself."""
        with self._database.read() as session:
            devices = sorted(session.exec(select(Chain.device).distinct()).all())
            keys = [*keys_of(session, devices), *statement_keys(session, None)]
            handovers = [json.loads(one) for one in handovers_of(session)]
            command = current_key(session, "command")
        return BundleTrust(
            origin=self._checkpoints.signer.name,
            checkpoint_keys=[self._checkpoints.signer.public.text()],
            collector=CollectorTrust(
                receipt=self._receipt.public.text(), command=None if command is None else command.key
            ),
            handovers=handovers,
            devices={
                device: sorted({one.key for one in keys if one.device == device})
                for device in sorted({one.device for one in keys})
            },
        )

    def _parts(self, scope: Scope, kept: bytes | None, tell: Tell) -> Parts:
        with self._database.read() as session:
            last = choose_checkpoint(session, scope, self._witnesses_needed)
            if last is None:
                raise NotFound(NOTHING_SHOWN)
            tree = Tree(session)
            authorities = Authorities(session)
            selected = self._select(session, tree, scope, last.size, authorities, tell)
            while last.size <= max(authorities.used, default=-1):  # an older one proves the hole, not who authorised it
                last = choose_checkpoint(session, scope, self._witnesses_needed, max(authorities.used) + 1)
                if last is None:
                    raise Conflict("an erasure that this bundle must show is not cosigned yet; ask again later")
                selected = self._select(session, tree, scope, last.size, authorities, tell)
            first, size = self._first(tree, _first_stored(session), kept, last.size)
            devices = sorted({one.part.entry.device for one in selected})
            revocations = revocations_of(session, devices, last.size, authorities)
            own = own_chain(session, tree, authorities.used, last.size)
            own_parts, own_keys = ([], []) if own is None else ([own], statement_keys(session, own.entry.chain))
            return Parts(
                origin=self._checkpoints.signer.name,
                made_at=utc_now(),
                scope=scope,
                chains=[*(one.part for one in selected), *own_parts],
                keys=[*keys_of(session, devices), *own_keys],
                revocations=revocations,
                first=first,
                last=cosigned_note(session, last),
                timestamps=tokens_of(session, last),
                consistency=tree.consistency(size, last.size),
                seen={size: tree.consistency(size, last.size) for size in _sizes(selected) if size <= last.size},
                policies=sorted({policy for one in selected for policy in one.policies}),
            )

    def _select(
        self, session: Session, tree: Tree, scope: Scope, size: int, authorities: Authorities, tell: Tell
    ) -> list[Selected]:
        places = chains_of(session, scope, size)
        if not places:
            raise NotFound(_nothing_about(scope))
        selected = []
        for number, place in enumerate(places):
            tell("chains", number, len(places))
            selected.append(select_chain(session, tree, scope, place, size, authorities))
        return selected

    def _first(self, tree: Tree, stored: SignedCheckpoint, kept: bytes | None, size: int) -> tuple[bytes, int]:
        if kept is None:
            return stored.note, stored.size
        signer = self._checkpoints.signer
        try:
            held = read_checkpoint(kept, signer.name, self._checkpoints.keys)
        except EvidenceError as error:
            raise Invalid(f"the checkpoint is not one of this ledger: {error}") from error
        if held.size > size or tree.root(held.size) != held.root:
            raise Conflict(
                f"this ledger has not grown from that checkpoint over {held.size} entries: keep it, it proves so"
            )
        return kept, held.size

    def _facts(self, parts: Parts) -> Facts:
        """Check the bundle as any reader would, with this collector's own keys, and take the figures from that."""
        report = verify_bundle(make_bundle(parts, self._receipt), self.trust())
        cosignatures = sum(one.name != parts.origin for one in Note.decode(parts.last).signatures)
        return facts_of(report, len(parts.timestamps), len(parts.policies), cosignatures)

    def _record(self, scope: Scope, made_by: str, facts: Facts, digest: str, size: int) -> None:
        with self._database.write() as session:
            session.add(
                MadeBundle(
                    made_at=facts.made_at,
                    made_by=made_by,
                    site=scope.site,
                    worker=scope.worker,
                    since=scope.since,
                    until=scope.until,
                    tree_size=facts.tree_size,
                    sha256=digest,
                    size=size,
                )
            )


def bundle_name(scope: Scope, made_at: str) -> str:
    """Return the file name of a bundle; it does not name a worker, since it stands in histories and logs."""
    return f"evidence-{scope.site or 'worker'}-{made_at[:10]}.zip"


def _sizes(selected: Sequence[Selected]) -> frozenset[int]:
    return frozenset().union(*(one.seen for one in selected))


def _first_stored(session: Session) -> SignedCheckpoint:
    return session.exec(select(SignedCheckpoint).order_by(col(SignedCheckpoint.size)).limit(1)).one()


def _nothing_about(scope: Scope) -> str:
    about = f"site {scope.site}" if scope.site else f"worker {scope.worker}"
    return f"the ledger has no event about {about}"
