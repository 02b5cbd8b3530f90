"""The synthetic suite: eight attack species and the living before the face path; small by default, in full long."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from zaigang.cli import SUBCOMMANDS, load
from zaigang.evaluation.liveness_suite import COUNTS, attempts
from zaigang.synthetic.casting import SPECIES

LONG = os.environ.get("ZAIGANG_LONG") == "1"
COUNT = "full" if LONG else "small"
SEED = 2026  # no limit was set while looking at this one


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("suite") / "report.json"
    command = load(next(one for one in SUBCOMMANDS if one.name == "evaluate"))
    options = ["liveness", "--synthetic", "--seed", str(SEED), "--count", COUNT, "--json", str(file)]
    result = CliRunner().invoke(command, options)
    assert result.exit_code == 0, result.output
    assert "synthetic" in result.output
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_attack_is_accepted_and_the_living_are_let_in(
    report: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    record_property("living", report["live"])
    record_property("species", report["species"])
    living, attacks = COUNTS[COUNT]
    assert report["live"]["n"] == living
    assert report["live"]["bpcer"] <= 0.05
    assert set(report["species"]) == set(SPECIES)
    for name, entry in report["species"].items():
        assert (entry["n"], entry["accepted"]) == (attacks, 0), name


@pytest.mark.timeout(3600)
def test_the_report_says_what_it_is(report: dict[str, Any]) -> None:
    assert report["kind"] == "synthetic"
    assert "30107-3" in report["standard"]
    assert (report["seed"], report["count"]) == (SEED, COUNT)
    assert len(report["clips"]) == sum(entry["n"] for entry in report["species"].values()) + report["live"]["n"]
    assert all(clip["checks"] for clip in report["clips"])


@pytest.mark.timeout(3600)
def test_the_ablation_has_each_species_with_each_check_alone_and_off(report: dict[str, Any]) -> None:
    checks = {check["name"] for check in report["clips"][0]["checks"]}
    for name in ("living", *SPECIES):
        entry = report["ablation"][name]
        assert set(entry["alone"]) == set(entry["off"]) == checks
    still = report["ablation"]["flat_print_still"]
    assert still["alone"]["challenge"] == 0
    assert still["alone"]["face_match"] > 0  # a print of the worker is the worker to the match alone
    assert report["ablation"]["phone_replay"]["off"]["screen_signs"] > 0  # a replay that fits passes all the rest


def test_a_seed_gives_the_same_attempts_and_the_full_suite_has_its_counts() -> None:
    assert attempts(7, "full") == attempts(7, "full")
    living, attacks = COUNTS["full"]
    assert living >= 300
    assert attacks >= 150
    assert len(SPECIES) == 8
