"""Fuzzed: evidence bundles, whole and file by file. Checking one ends with a report, and no changed one holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from evidence.bundle import verify_bundle
from evidence.bundle_checkpoints import CONSISTENCY, read_consistency, write_consistency
from evidence.bundle_index import read_index, write_index
from evidence.bundle_manifest import MANIFEST, SEAL, Manifest, seal
from evidence.bundle_report import Report
from evidence.bundle_seen import read_seen, write_seen
from evidence.bundle_zip import is_name, pack, unpack
from evidence.canonical import canonical
from evidence.errors import BundleError, EvidenceError
from evidence.trust import BundleTrust
from fuzz.key import KEY

_CORPUS = Path(__file__).parents[1] / "tests" / "evidence" / "corpus"
WHOLE = (_CORPUS / "good-watched-and-more.zip").read_bytes()


@cache
def trust(own_seal: bool = False) -> BundleTrust:
    """Whom the corpus trusts; with `own_seal` the bundles are sealed by KEY."""
    said = json.loads((_CORPUS / "trust.json").read_text())
    if own_seal:
        said["collector"]["receipt"] = KEY.public.text()
    return BundleTrust.model_validate(said)


def bundle(data: bytes) -> None:
    """Check any bytes as a bundle."""
    report = verify_bundle(data, trust())
    assert report.ok == (data == WHOLE)
    _refuse(report)


def bundle_part(data: bytes) -> None:
    """One file of a good bundle is another: its name, a line feed, its bytes. Manifest and seal are made to fit."""
    head, _, content = data.partition(b"\n")
    name = head.decode(errors="replace")
    if not is_name(name):
        return
    report = verify_bundle(resealed({**unpack(WHOLE), name: content}), trust(own_seal=True))
    if report.ok and (name.startswith("chains/") or name == CONSISTENCY):  # the rest may say more without a lie
        assert data == part(name)
    _refuse(report)


def part(name: str) -> bytes:
    """The good file of that name, as `bundle_part` reads it."""
    return name.encode() + b"\n" + unpack(WHOLE).get(name, b"")


def resealed(files: dict[str, bytes]) -> bytes:
    """The bundle of these files, its manifest naming each as it is, sealed by KEY; an unreadable manifest stays."""
    manifest = files.pop(MANIFEST)
    files.pop(SEAL)
    try:
        said = Manifest.decode(manifest)
    except EvidenceError:
        pass
    else:
        named = [
            {"name": name, "size": len(one), "sha256": hashlib.sha256(one).hexdigest()}
            for name, one in sorted(files.items())
        ]
        manifest = canonical({**said.model_dump(mode="json"), "files": named})
    sealed = seal(manifest, trust().origin, KEY)
    return pack([(MANIFEST, manifest), (SEAL, sealed), *sorted(files.items())])


def index(data: bytes) -> None:
    """Read a chain's index."""
    assert write_index(read_index(data)) == data


def seen(data: bytes) -> None:
    """Read the proofs from the checkpoints that terminals saw."""
    assert write_seen(read_seen(data)) == data


def growth(data: bytes) -> None:
    """Read the consistency proof of a bundle."""
    assert write_consistency(read_consistency(data)) == data


def _refuse(report: Report) -> None:
    if not report.ok:
        raise BundleError("; ".join(map(str, report.problems)))


TARGETS: tuple[Callable[[bytes], None], ...] = (bundle, bundle_part, index, seen, growth)
