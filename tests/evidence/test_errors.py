"""Errors: every one has a code of its own, by which a dead letter, a vector and a reader find it."""

from __future__ import annotations

from evidence import errors
from evidence.errors import EvidenceError


def _tree(kind: type[EvidenceError]) -> list[type[EvidenceError]]:
    return [kind] + [below for child in kind.__subclasses__() for below in _tree(child)]


def test_every_error_has_a_code_of_its_own() -> None:
    kinds = [kind for kind in _tree(EvidenceError) if kind.__module__ == "evidence.errors"]
    codes = [kind.__dict__.get("code") for kind in kinds]
    assert None not in codes
    assert len(set(codes)) == len(codes)


def test_an_error_is_found_by_its_code() -> None:
    for kind in _tree(EvidenceError):
        if kind.__module__ == "evidence.errors":
            assert errors.by_code(kind.code) is kind
    assert errors.by_code("no such code") is None
