"""Signatures are judged alike here and in the process for it, and whatever happens to that process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.ingest.checking import Checker, Claim
from evidence.keys import Ed25519Key, Es256Key
from tests.support.waiting import eventually

GOOD, OTHER, TPM = Ed25519Key.generate(), Ed25519Key.generate(), Es256Key.generate()


def claims() -> tuple[list[Claim], list[bool]]:
    """Return claims of every kind, and which of them stand."""
    message, good, tpm = b"what was signed", GOOD.sign(b"what was signed"), TPM.sign(b"what was signed")
    changed = bytes([good[0] ^ 1]) + good[1:]
    told = [
        (Claim(GOOD.public, good, message), True),
        (Claim(GOOD.public, good, b"something else"), False),
        (Claim(GOOD.public, changed, message), False),
        (Claim(OTHER.public, good, message), False),
        (Claim(GOOD.public, good[:63], message), False),
        (Claim(GOOD.public, b"", message), False),
        (Claim(TPM.public, tpm, message), True),
        (Claim(TPM.public, good, message), False),
    ]
    return [claim for claim, _ in told], [stands for _, stands in told]


def runs(process: int) -> bool:
    """Say whether a process lives; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def apart() -> Iterator[Checker]:
    checker = Checker(apart=True, worth_it=1, patience_s=1.0)
    yield checker
    checker.close()


def running(checker: Checker) -> int:
    """Have the process started; return its id."""
    offered, wanted = claims()
    assert checker.check(offered) == wanted  # while it starts, too
    eventually(lambda: checker.process_id is not None)
    process = checker.process_id
    assert process is not None and process != os.getpid()
    return process


def test_both_judge_alike(apart: Checker) -> None:
    offered, wanted = claims()
    running(apart)
    assert apart.check(offered) == wanted
    assert Checker().check(offered) == wanted


def test_few_claims_start_no_process_and_neither_do_many_where_it_is_switched_off() -> None:
    offered, wanted = claims()
    for checker in (Checker(apart=True, worth_it=len(offered) + 1), Checker(apart=False, worth_it=1)):
        assert checker.check(offered) == wanted
        assert checker._other is None


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_hangs_changes_no_verdict_and_is_left_alone_for_a_while(
    apart: Checker, what: signal.Signals
) -> None:
    offered, wanted = claims()
    process = running(apart)
    os.kill(process, what)
    assert apart.check(offered) == wanted
    assert apart.process_id is None
    eventually(lambda: not runs(process))
    assert apart.check(offered) == wanted
    assert apart._other is None
    apart._rests_until = 0.0  # a minute later
    assert running(apart) != process


def test_closing_ends_it_and_ctrl_c_does_not(apart: Checker) -> None:
    process = running(apart)
    os.kill(process, signal.SIGINT)
    offered, wanted = claims()
    assert apart.check(offered) == wanted and apart.process_id == process
    apart.close()
    eventually(lambda: not runs(process))


def test_it_ends_with_a_collector_that_is_killed() -> None:
    program = """
import time
from tests.collector.test_checking import claims, running
from collector.ingest.checking import Checker
checker = Checker(apart=True, worth_it=1)
print(running(checker), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path.cwd()) as collector:
        assert collector.stdout is not None
        process = int(collector.stdout.readline())
        assert runs(process)
        collector.kill()
    eventually(lambda: not runs(process))
