"""An administrator's commands about who joins: which of several, whose key it replaces, and whose broker it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.errors import JoinUnanswered
from tests.collector.process import command
from tests.zaigang.joining import Centre
from tests.zaigang.test_joining import ask


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    one = Centre(tmp_path / "collector")
    yield one
    one.close()


def wait_for(centre: Centre, *folders: Path) -> None:
    """Have a terminal ask for gate-1 from each folder; nobody answers yet."""
    with centre.serving():
        for folder in folders:
            code, _ = centre.joining.claim("east", "gate-1", "me")
            with pytest.raises(JoinUnanswered):
                ask(code, folder, patience_s=0)


def test_of_several_one_is_named_and_a_key_is_replaced_only_on_purpose(centre: Centre, tmp_path: Path) -> None:
    wait_for(centre, tmp_path / "one", tmp_path / "other")
    newest, first = (one.fingerprint for one in centre.joining.requests())
    approve = ("device", "approve", "gate-1")

    several = command(*approve, data=centre.data, check=False)
    assert several.returncode == 1 and "several terminals wait" in several.stderr
    nobody = command(*approve, "--key", "0000 0000 0000 0000", data=centre.data, check=False)
    assert nobody.returncode == 1 and "no terminal waits as gate-1 with the key 0000" in nobody.stderr
    assert f"key {first}" in command(*approve, "--key", first.replace(" ", ""), data=centre.data).stdout

    other = command(*approve, data=centre.data, check=False)
    assert other.returncode == 1 and first in other.stderr and "--replace" in other.stderr
    assert f"key {newest}" in command(*approve, "--replace", data=centre.data).stdout
    assert {one.state for one in centre.joining.requests()} == {"approved"}


def test_no_collector_is_made_by_the_way_for_a_brokers_configuration(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    done = command("broker-config", str(tmp_path / "broker"), "--host", "localhost", data=nowhere, check=False)
    assert done.returncode == 1 and f"there is no collector in {nowhere}" in done.stderr.replace("\n", "")
    assert not nowhere.exists() and not (tmp_path / "broker").exists()
