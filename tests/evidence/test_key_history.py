"""Which key counts for what once it was handed over: the same rule for receipts, commands and checkpoints."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evidence.bundle import verify_bundle
from evidence.bundle_receipt import check_collector_receipt
from evidence.errors import EvidenceError, Omitted, RetiredKey, UnknownKey
from evidence.handover import KeyHandover, parse_handover, sign_handover
from evidence.key_history import CountingKey, keys_over_time, log_keys, read_checkpoint
from evidence.keys import Ed25519Key
from evidence.note import VerifierKey
from evidence.receipt import Receipt, sign_receipt
from evidence.statements import Purpose
from tests.evidence.bundles import (
    HANDED_OVER_AT,
    HANDOVERS,
    LATER_RECEIPT,
    LATER_SIGNER,
    LOG_SIGNER,
    ORIGIN,
    OTHER,
    RECEIPT,
    Site,
    a_day_after_the_handovers,
    bundle,
)

TIME = "2026-11-24T00:00:00.000Z"
KEYS = [Ed25519Key.generate() for _ in range(5)]
PURPOSES: list[Purpose] = ["receipt", "command", "checkpoint", "statement"]


def chain(purpose: Purpose = "receipt", *, length: int = 5) -> list[KeyHandover]:
    pairs = enumerate(itertools.pairwise(KEYS[:length]), 1)
    documents = [sign_handover(purpose, old, new, TIME, 10 * n) for n, (old, new) in pairs]
    return [parse_handover(one) for one in documents]


@given(purpose=st.sampled_from(PURPOSES), trusted=st.integers(0, 4), order=st.permutations(range(4)))
def test_whoever_trusts_one_key_has_those_before_and_after_it(purpose: Purpose, trusted: int, order: list[int]) -> None:
    documents = chain(purpose)
    found = keys_over_time(purpose, [KEYS[trusted].public], [documents[at] for at in order])
    assert found[0].key == KEYS[trusted].public
    assert {(one.key, one.upto) for one in found} == {
        (key.public, upto) for key, upto in zip(KEYS, [10, 20, 30, 40, None], strict=True)
    }
    (other, *_) = [one for one in PURPOSES if one != purpose]
    assert keys_over_time(other, [KEYS[trusted].public], documents) == (CountingKey(KEYS[trusted].public),)


def test_a_strangers_handover_brings_nobody_in() -> None:
    apart = parse_handover(sign_handover("receipt", KEYS[2], KEYS[3], TIME, 7))
    assert keys_over_time("receipt", [KEYS[0].public], [apart]) == (CountingKey(KEYS[0].public),)


@pytest.mark.parametrize("other", [(KEYS[0], KEYS[4]), (KEYS[3], KEYS[0])])
def test_a_key_is_handed_over_once_and_never_comes_back(other: tuple[Ed25519Key, Ed25519Key]) -> None:
    documents = [*chain(length=4), parse_handover(sign_handover("receipt", *other, TIME, 99))]
    with pytest.raises(UnknownKey):
        keys_over_time("receipt", [KEYS[0].public], documents)


def test_a_key_that_was_handed_over_signs_for_no_larger_ledger() -> None:
    first, *_ = keys_over_time("receipt", [KEYS[0].public], chain())
    first.require(10)
    with pytest.raises(RetiredKey, match="10 entries"):
        first.require(11)
    older = parse_handover(sign_handover("receipt", KEYS[0], KEYS[1], TIME))
    (unsaid, *_) = keys_over_time("receipt", [KEYS[0].public], [older])
    with pytest.raises(RetiredKey):
        unsaid.require(1)


def test_a_checkpoint_is_read_with_the_key_that_counted_then() -> None:
    site, _ = a_day_after_the_handovers()
    documents = [parse_handover(json.dumps(one, separators=(",", ":")).encode()) for one in HANDOVERS]
    for named in (LOG_SIGNER, LATER_SIGNER):
        keys = log_keys([named.public], documents)
        assert read_checkpoint(site.checkpoint(9).encode(), ORIGIN, keys).size == 9
        assert read_checkpoint(site.checkpoint(10, LATER_SIGNER).encode(), ORIGIN, keys).size == 10
        with pytest.raises(RetiredKey):
            read_checkpoint(site.checkpoint(10).encode(), ORIGIN, keys)
        stranger = VerifierKey(ORIGIN, LOG_SIGNER.type, OTHER.public)
        with pytest.raises(UnknownKey):
            read_checkpoint(site.checkpoint(9).encode(), ORIGIN, log_keys([stranger], documents))


@pytest.mark.parametrize("named", ["later", "before"])
def test_a_collectors_receipt_of_before_and_after(named: str) -> None:
    site, parts = a_day_after_the_handovers()
    trust = site.later_trust(named=named)
    report = verify_bundle(bundle(parts, LATER_RECEIPT), trust)
    assert report.ok, [str(one) for one in report.problems]

    def receipt(key: Ed25519Key, tree_size: int, upto: int = 6) -> bytes:
        head = site.heads["gate-1"][1]
        return sign_receipt(
            Receipt(device="gate-1", chain=site.chains["gate-1"], upto=upto, head=head, tree_size=tree_size, time=TIME),
            key,
        )

    assert check_collector_receipt(receipt(LATER_RECEIPT, 10), trust, report).upto == 6
    assert check_collector_receipt(receipt(RECEIPT, HANDED_OVER_AT), trust, report).upto == 6
    with pytest.raises(RetiredKey):
        check_collector_receipt(receipt(RECEIPT, HANDED_OVER_AT + 1), trust, report)
    with pytest.raises(UnknownKey):
        check_collector_receipt(receipt(OTHER, 10), trust, report)
    with pytest.raises(Omitted):
        check_collector_receipt(receipt(LATER_RECEIPT, 10, upto=7), trust, report)


def forged_handovers() -> dict[str, Any]:
    """Documents with which somebody would slip a key of his own in, each as a trust file would have it."""

    def document(*signers: Ed25519Key) -> Any:
        value = json.loads(sign_handover("receipt", RECEIPT, OTHER, TIME, 9))
        value["signatures"] = [
            json.loads(sign_handover("receipt", one, other, TIME, 9))["signatures"][0]
            for one, other in ((signer, KEYS[0]) for signer in signers)
        ]
        return value

    changed = copy.deepcopy(HANDOVERS[0])
    changed["payload"] = json.loads(sign_handover("receipt", RECEIPT, OTHER, TIME, 9))["payload"]
    return {
        "by the new key alone": document(OTHER),
        "by the new key twice": document(OTHER, OTHER),
        "another payload under both signatures": changed,
        "handed over twice": json.loads(sign_handover("receipt", RECEIPT, OTHER, TIME, 9)),
    }


@pytest.mark.parametrize("how", forged_handovers())
def test_a_trust_file_with_a_forged_handover_is_refused(how: str) -> None:
    trust = Site().later_trust().model_dump()
    trust["handovers"].append(forged_handovers()[how])
    with pytest.raises((ValidationError, EvidenceError), match=r"handover|handed over"):
        type(Site().trust()).model_validate(trust)
