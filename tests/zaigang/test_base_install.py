"""`pip install .` alone, without an extra, gives a working verifier: what an arbitrator or a worker installs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evidence.chains import a_chain, ed25519_key

# Thirty seconds of work on a quiet machine; a busy one, or a slow index, may need many times that.
pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]
KEY = ed25519_key()
# Whatever the developer's shell says must not reach the bare environment; how pip finds its index must.
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def _run(command: list[str | Path], folder: Path, timeout_s: int = 600) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name in PASSED_ON or "proxy" in name.lower()}
    env |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=timeout_s, check=False)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the built wheel and the base lock, nothing else; returns its bin folder."""
    folder = tmp_path_factory.mktemp("bare")
    bin_folder = folder / "venv" / "bin"
    steps: list[list[str | Path]] = [
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT],
        [sys.executable, "-m", "venv", folder / "venv"],
        [bin_folder / "pip", "install", "-q", "--require-hashes", "-r", ROOT / "requirements" / "base.lock"],
    ]
    for step in steps:
        done = _run(step, folder)
        assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("zaigang-*.whl")
    done = _run([bin_folder / "pip", "install", "-q", "--no-deps", wheel], folder)
    assert done.returncode == 0, done.stderr
    return bin_folder


def test_the_base_lock_brings_all_that_the_verifier_declares_and_no_camera(bare: Path) -> None:
    assert _run([bare / "pip", "check"], bare).stdout.strip() == "No broken requirements found."
    names = {one["name"] for one in json.loads(_run([bare / "pip", "list", "--format", "json"], bare).stdout)}
    assert "zaigang" in names
    assert not names & {"numpy", "opencv-contrib-python", "mediapipe", "nicegui", "fastapi", "paho-mqtt", "sqlmodel"}


def test_the_bare_verifier_verifies(bare: Path, tmp_path: Path) -> None:
    lines = [envelope.encode() for envelope in a_chain(5, KEY)]
    (tmp_path / "trust.json").write_text(json.dumps({"devices": {"gate-1": [KEY.public.text()]}}))
    (tmp_path / "good.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (tmp_path / "bad.jsonl").write_bytes(b"\n".join(lines[:2] + lines[3:]) + b"\n")
    good = _run([bare / "zaigang", "verify", "good.jsonl", "--trust", "trust.json"], tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    assert "全部成立" in good.stdout
    bad = _run([bare / "zaigang", "verify", "bad.jsonl", "--trust", "trust.json"], tmp_path)
    assert bad.returncode == 1
    assert "line 3 seq 3 [gap]" in bad.stdout


def test_the_bare_verifier_verifies_bundles(bare: Path, tmp_path: Path) -> None:
    corpus = ROOT / "tests" / "evidence" / "corpus"
    good = _run([bare / "zaigang", "verify", corpus / "good-site.zip", "--trust", corpus / "trust.json"], tmp_path)
    assert good.returncode == 0, good.stdout + good.stderr
    bad = _run([bare / "zaigang", "verify", corpus / "bad-back-dated.zip", "--trust", corpus / "trust.json"], tmp_path)
    assert bad.returncode == 1, bad.stdout + bad.stderr


def test_the_bare_command_lists_everything_and_says_what_to_install(bare: Path, tmp_path: Path) -> None:
    listed = _run([bare / "zaigang", "--help"], tmp_path)
    assert listed.returncode == 0
    for name in ("demo", "kiosk", "collector", "verify", "bench"):
        assert name in listed.stdout
    assert _run([bare / "zaigang", "--version"], tmp_path).stdout.startswith("zaigang 0.")
    for name, args in (("demo", []), ("kiosk", ["run"]), ("collector", ["run"])):
        done = _run([bare / "zaigang", name, *args], tmp_path)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert f"pip install 'zaigang[{name}]'" in done.stderr or "not in this installation" in done.stderr
