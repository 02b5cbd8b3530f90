"""The offline evidence bundle: one ZIP with everything that an arbitrator needs, except whom to trust.

Files, in this order: `manifest.json` and `seal.json` (bundle_manifest.py); then by name: `README.…`, `chains/…`
(envelopes verbatim and their index), `checkpoints/…`, `not-authoritative/…` (for the eye, derived from the rest),
`policies/…`, `timestamps/…`. The rules, each with the error that names its breach, are in docs/spec/bundle.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from evidence.bundle_chain import Bundle, ChainCheck
from evidence.bundle_checkpoints import check_checkpoints, check_kept, stamped_note
from evidence.bundle_history import check_history
from evidence.bundle_holes import check_holes
from evidence.bundle_index import read_index
from evidence.bundle_manifest import MANIFEST, SEAL, ChainEntry, Manifest, check_seal
from evidence.bundle_report import Report
from evidence.bundle_seen import SEEN, check_seen
from evidence.bundle_zip import check_canonical, unpack
from evidence.errors import (
    EvidenceError,
    FileChanged,
    FileExtra,
    FileMissing,
    InvalidIndex,
    NotCanonicalZip,
    PolicyChanged,
    TimestampError,
    WrongOrigin,
)
from evidence.gc_paused import gc_paused
from evidence.trust import BundleTrust

POLICIES, TIMESTAMPS, DERIVED = "policies/", "timestamps/", "not-authoritative/"
READMES = ("README.en.txt", "README.zh.txt")
LAST = "checkpoints/last"

# Checks a token over a message against trusted certificates and returns its time; raises TimestampError. `evidence`
# itself reads no ASN.1: whoever has a library for it hands one in.
CheckToken = Callable[[bytes, bytes, list[str]], str]
Progress = Callable[[int, int], None]


def verify_bundle(
    data: bytes, trust: BundleTrust, check_token: CheckToken | None = None, progress: Progress | None = None
) -> Report:
    """Check a whole bundle against `trust` and return everything that was found, problems by name and place.

    `progress` is told after every chain how many of how many bytes of envelopes are done. Raises nothing of evidence's
    errors: each is in the report.
    """
    with gc_paused():
        return _verify(data, trust, check_token, progress)


def _verify(data: bytes, trust: BundleTrust, check_token: CheckToken | None, progress: Progress | None) -> Report:
    report = Report()
    files = _unpacked(data, report)
    if files is None:
        return report
    manifest = _manifest(files, trust, report)
    if manifest is None:
        return report
    report.manifest = manifest
    _check_files(files, manifest, report)
    tree = check_checkpoints(files, trust, report)
    if tree is None:
        return report
    _check_sealer(report, tree.size)
    check_kept(files, trust, report)
    policies = _policies(files, report)
    bundle = Bundle(manifest, trust, tree, policies, report, trust.log_keys())
    _check_chains(files, bundle, progress)
    check_holes(bundle)
    check_history(bundle)
    check_seen(files, bundle)
    _check_timestamps(files, trust, report, check_token)
    _take_notes(report)
    return report


def _unpacked(data: bytes, report: Report) -> dict[str, bytes] | None:
    try:
        files = unpack(data)
    except EvidenceError as error:
        report.add(error)
        return None
    try:
        check_canonical(data, files)
    except EvidenceError as error:
        report.add(error)  # what follows may say more exactly what was changed
    return files


def _manifest(files: dict[str, bytes], trust: BundleTrust, report: Report) -> Manifest | None:
    for name in (MANIFEST, SEAL):
        if name not in files:
            report.add(FileMissing(f"the bundle has no {name}"), name)
    if MANIFEST not in files:
        return None
    if list(files)[:2] != [MANIFEST, SEAL]:
        report.add(NotCanonicalZip(f"a bundle begins with {MANIFEST} and {SEAL}"))
    if SEAL in files:
        try:
            report.sealer = check_seal(files[SEAL], files[MANIFEST], trust.origin, trust.receipt_keys())
        except EvidenceError as error:
            report.add(error, SEAL)
    try:
        manifest = Manifest.decode(files[MANIFEST])
    except EvidenceError as error:
        report.add(error, MANIFEST)
        return None
    if manifest.origin != trust.origin:
        report.add(WrongOrigin(f"the bundle is of the ledger {manifest.origin}, you trust {trust.origin}"), MANIFEST)
    return manifest


def _check_sealer(report: Report, tree_size: int) -> None:
    try:
        if report.sealer is not None:
            report.sealer.require(tree_size)
    except EvidenceError as error:
        report.add(error, SEAL)


def _check_files(files: dict[str, bytes], manifest: Manifest, report: Report) -> None:
    named = {one.name: one for one in manifest.files}
    held = [name for name in files if name not in (MANIFEST, SEAL)]
    for name in named.keys() - set(held):
        report.add(FileMissing(f"the manifest names {name}, the bundle does not have it"), name)
    if held != sorted(held):
        report.add(NotCanonicalZip("the files of a bundle stand in the order of their names"))
    allowed = {
        *READMES,
        *(f"chains/{one.device}/{one.chain}.{end}" for one in manifest.chains for end in ("index", "jsonl")),
        *("checkpoints/first", LAST, "checkpoints/consistency", SEEN),
    }
    for name in held:
        if name not in named:
            report.add(FileExtra(f"the manifest does not name {name}"), name)
            continue
        if name not in allowed and not name.startswith((POLICIES, TIMESTAMPS, DERIVED)):
            report.add(FileExtra(f"no bundle has a file {name}"), name)
        content = files[name]
        if len(content) != named[name].size or hashlib.sha256(content).hexdigest() != named[name].sha256:
            report.add(FileChanged(f"the SHA-256 or size of {name} is not the one in the manifest"), name)


def _policies(files: dict[str, bytes], report: Report) -> frozenset[str]:
    hashes = set()
    for name, data in files.items():
        if not name.startswith(POLICIES):
            continue
        digest = hashlib.sha256(data).hexdigest()
        hashes.add(digest)
        if name != f"{POLICIES}{digest}.json":
            report.add(PolicyChanged(f"the policy's SHA-256 is {digest[:16]}…, its name says another"), name)
    return frozenset(hashes)


def _check_chains(files: dict[str, bytes], bundle: Bundle, progress: Progress | None) -> None:
    total = sum(len(data) for name, data in files.items() if name.endswith(".jsonl"))
    done = 0
    for entry in bundle.manifest.chains:
        done += _check_chain(files, bundle, entry)
        if progress is not None:
            progress(done, total)


def _check_chain(files: dict[str, bytes], bundle: Bundle, entry: ChainEntry) -> int:
    folder = f"chains/{entry.device}/{entry.chain}"
    index, events = files.get(f"{folder}.index"), files.get(f"{folder}.jsonl")
    for end, content in ((".index", index), (".jsonl", events)):
        if content is None:
            bundle.report.add(FileMissing(f"the bundle has no {folder}{end}"), f"{folder}{end}", chain=entry)
    if index is None or events is None:
        return 0
    try:
        lines = read_index(index)
    except EvidenceError as error:
        bundle.report.add(error, f"{folder}.index", chain=entry)
        return len(events)
    envelopes = events.split(b"\n")
    if envelopes.pop() != b"":
        cut = InvalidIndex("the last line is cut off: every envelope ends with a line feed")
        bundle.report.add(cut, f"{folder}.jsonl", chain=entry)
    ChainCheck(bundle, entry, lines, envelopes).run()
    return len(events)


def _check_timestamps(
    files: dict[str, bytes], trust: BundleTrust, report: Report, check_token: CheckToken | None
) -> None:
    tokens = [name for name in files if name.startswith(TIMESTAMPS)]
    if trust.tsa and not tokens:
        report.add(FileMissing("you ask for a time-stamp by one of your authorities, and the bundle has none"))
    if trust.tsa and tokens and check_token is None:
        report.add(TimestampError("you ask for a time-stamp, and this installation cannot read tokens: use openssl ts"))
    for name in tokens:
        if check_token is None or not trust.tsa:
            report.timestamps_not_run += 1
            continue
        try:
            report.timestamps.append(check_token(files[name], stamped_note(files[LAST], trust), trust.tsa))
        except EvidenceError as error:
            report.add(error, name)


def _take_notes(report: Report) -> None:
    for found in report.chains.values():
        if not found.pinned:
            report.notes.append(
                f"not_pinned: that {found.entry.device} signs with this key, only the collector says; compare its "
                "fingerprint with the paper at the terminal"
            )
        if found.unsigned_checkpoints:
            report.notes.append(
                f"checkpoint_not_signed: {found.entry.device} carries {found.unsigned_checkpoints} checkpoint(s) that "
                "no key of the ledger signed; they say something about this terminal and nothing about the ledger"
            )
    if report.timestamps_not_run:
        report.notes.append(
            f"timestamp_not_run: {report.timestamps_not_run} time-stamp token(s) were not checked: name the "
            "authority's certificate under tsa and install the extra that reads tokens, or use openssl ts"
        )
    if report.after_revocation:
        report.notes.append(
            f"after_revocation: {report.after_revocation} event(s) came after their terminal was revoked; none of "
            "them counts as verified"
        )
