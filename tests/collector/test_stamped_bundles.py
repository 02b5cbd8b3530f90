"""Bundles whose checkpoint a real authority has stamped and a witness cosigned."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.evidence_bundles.service import EvidenceBundles
from collector.ledger.anchors import Anchors, load_roots
from collector.ledger.models import Cosignature
from evidence.bundle import verify_bundle
from evidence.bundle_zip import unpack
from evidence.keys import Ed25519Key
from evidence.note import Note, NoteSigner, SignatureType
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal
from tests.collector.test_evidence_bundles import SITE, a_day, punch
from tests.support.timestamp_authority import TimestampAuthority
from zaigang.timestamp_check import check_token


def test_a_stamp_over_the_period_is_taken_along_and_checked(bench: Bench, terminal: Terminal, tmp_path: Path) -> None:
    authority = TimestampAuthority(tmp_path / "tsa")
    try:
        a_day(bench, terminal)
        bench.services.checkpoints.sign()
        Anchors(bench.database, authority.url, load_roots(authority.ca)).anchor()
    finally:
        authority.stop()
    bench.offer(terminal, punch(terminal, "E001", "IN"))
    trust = bench.services.evidence_bundles.trust().model_copy(update={"tsa": [authority.ca.read_text()]})
    data = bench.services.evidence_bundles.make(SITE, "test").data
    assert verify_bundle(data, trust, check_token).timestamps == [], "the last punch lies in the period: no stamp yet"

    shorter = SITE.model_copy(update={"until": "2026-11-22T08:20:00.500Z"})
    data = bench.services.evidence_bundles.make(shorter, "test").data
    report = verify_bundle(data, trust, check_token)
    assert report.ok, [str(one) for one in report.problems]
    assert len(report.timestamps) == 1 and report.tree_size == 8
    assert [one.code for one in verify_bundle(data, trust).problems] == ["timestamp"], "not run is not passed"
    other = TimestampAuthority(tmp_path / "other")
    other.stop()
    foreign = trust.model_copy(update={"tsa": [other.ca.read_text()]})
    assert [one.code for one in verify_bundle(data, foreign, check_token).problems] == ["timestamp"]


def test_only_what_enough_witnesses_cosigned_is_shown(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    bench.services.checkpoints.sign()
    newest = bench.services.checkpoints.newest()
    assert newest is not None
    witness = NoteSigner("witness.example/council", SignatureType.COSIGNATURE_V1, Ed25519Key.generate())
    line = witness.cosign(Note.decode(newest.note).text, 1_790_000_000).line()
    at = "2026-11-22T09:00:00.000Z"
    with bench.database.write() as session:
        session.add(Cosignature(size=newest.size, witness=witness.public.text(), line=line, cosigned_at=at))
    bench.offer(terminal, punch(terminal, "E001", "IN"))
    service = EvidenceBundles(bench.database, bench.services.checkpoints, bench.keys.receipt, 1)
    data = service.make(SITE, "test").data
    trust = service.trust().model_dump() | {"witnesses": {"keys": [witness.public.text()], "quorum": 1}}
    report = verify_bundle(data, type(service.trust()).model_validate(trust))
    assert report.ok, [str(one) for one in report.problems]
    assert (report.cosignatures, report.tree_size) == (1, 8)
    assert b"witness.example/council" in unpack(data)["checkpoints/last"]


@pytest.mark.parametrize("token", [b"", b"rubbish", bytes(500)])
def test_a_token_that_cannot_be_read_is_named(token: bytes, tmp_path: Path) -> None:
    from evidence.errors import TimestampError

    authority = TimestampAuthority(tmp_path / "tsa")
    authority.stop()
    with pytest.raises(TimestampError):
        check_token(token, b"note", [authority.ca.read_text()])
