"""docs/protocol.md and the published vectors are enough: an implementation that knows nothing else agrees with each."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.foreign import VECTORS, Abroad, outcomes

FILES = sorted(path.stem for path in VECTORS.glob("*.json"))


def _cases(value: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every case of a file: the objects in its lists. What lies inside a case is the case's own."""
    for name, part in value.items():
        if isinstance(part, dict):
            yield from _cases(part, f"{place}.{name}")
        elif isinstance(part, list) and part and isinstance(part[0], dict):
            for number, case in enumerate(part):
                yield f"{place}.{name}.{number}", case


def _published(folder: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the foreign implementation says of the vectors as published."""
    abroad = Abroad.in_folder(tmp_path_factory.mktemp("abroad"))
    done = abroad.run("check-vectors", "vectors")
    assert done.returncode == 0, done.stdout + done.stderr
    return outcomes(done)


@pytest.mark.parametrize("file", FILES)
def test_the_foreign_implementation_agrees_with_every_case(file: str, said: dict[str, str]) -> None:
    expected = {name for name, _ in _cases(json.loads((VECTORS / f"{file}.json").read_text()), file)}
    found = {name: wrong for name, wrong in said.items() if name.split(".")[0] == file}
    assert found.keys() == expected
    assert not any(found.values()), found


def _other_text(text: str) -> str:
    return ("0" if text[0] != "0" else "1") + text[1:]


def _change(file: str, case: dict[str, Any], whole: dict[str, Any], part: str) -> None:
    """Make a case say what is not so."""
    if "code" in case:
        case["code"] = "nothing_of_the_kind"
        return
    zeros = "00" * 32
    changes: dict[str, Callable[[], None]] = {
        "canonical.good": lambda: case.update(canonical=case["canonical"] + " "),
        "keys.good": lambda: case.update(id=_other_text(case["id"])),
        "envelopes.good": lambda: case.update(hash=_other_text(case["hash"])),
        "events.story.told": lambda: whole["story"]["hashes"].__setitem__(0, zeros),
        "events.good": lambda: case.update(payload=case["payload"] + " "),
        "chains.cases": lambda: case.update(problems=[{"position": 0, "seq": 0, "code": "gap"}]),
        "receipts.good": lambda: case["receipt"].update(upto=5),
        "punch_receipts.good": lambda: case["receipt"].update(seq=5),
        "merkle.roots": lambda: case.update(root=zeros),
        "merkle.inclusion": lambda: case.update(path=[zeros]),
        "merkle.bad_inclusion": lambda: case.update(index=4),
        "merkle.consistency": lambda: case.update(proof=[zeros]),
        "merkle.bad_consistency": lambda: case.update(old=3),
        "checkpoints.good": lambda: case.update(size=258),
        "checkpoints.good_proofs": lambda: case.update(index=5),
        "handovers.good": lambda: case.update(keys=case["keys"][::-1]),
        "joining.codes.good": lambda: case["says"].update(site="quarry"),
        "joining.requests": lambda: case.update(envelope=case["envelope"] + " "),
    }
    changes.get(f"{file}.{part}", lambda: case["says"].update(device="gate-2"))()


def test_it_sees_when_a_vector_says_what_is_not_so(tmp_path: Path) -> None:
    abroad = Abroad.in_folder(tmp_path)
    lied: set[str] = set()
    for file, whole in _published(tmp_path / "vectors").items():
        changed = copy.deepcopy(whole)
        for name, case in _cases(changed, file):
            part, _, number = name.removeprefix(f"{file}.").rpartition(".")
            if number == "0":
                _change(file, case, changed, part)
                lied.add(name)
        (tmp_path / "vectors" / f"{file}.json").write_text(json.dumps(changed))
    done = abroad.run("check-vectors", "vectors")
    wrong = {name for name, why in outcomes(done).items() if why}
    assert done.returncode == 1
    assert wrong == lied


def test_a_file_of_vectors_that_nobody_reads_is_no_success(tmp_path: Path) -> None:
    abroad = Abroad.in_folder(tmp_path)
    for path in (tmp_path / "vectors").glob("*.json"):
        path.unlink()
    (tmp_path / "vectors" / "later.json").write_text('{"good": []}')
    done = abroad.run("check-vectors", "vectors")
    assert done.returncode == 1
    assert outcomes(done) == {"later": "nobody here reads this file"}
