"""tools/debian-packages against a dpkg and an apt that only write down what they were asked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "debian-packages"
DEMO = {"python3-venv", "libgl1", "libgles2", "libegl1", "libglib2.0-0"}


class Machine:
    """A folder of commands that stand before the real ones."""

    def __init__(self, folder: Path, installed: set[str]) -> None:
        self.folder = folder
        self.asked = folder / "asked-of-apt"
        self._command(
            "dpkg-query",
            f'for name; do :; done; case " {" ".join(installed)} " in *" $name "*) printf installed;; *) exit 1;; esac',
        )
        self._command("apt-get", f'echo "$@" >> {self.asked}')
        self._command("id", "echo 1000")
        for needed in ("sed", "tr", "sh"):
            self._command(needed, f'exec /bin/{needed} "$@"')

    def _command(self, name: str, body: str) -> None:
        file = self.folder / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def forget(self, name: str) -> None:
        (self.folder / name).unlink()

    def run(self, purpose: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": str(self.folder)}
        return subprocess.run(["/bin/sh", TOOL, purpose], env=environment, capture_output=True, text=True, check=False)


def test_with_nothing_missing_it_says_nothing_and_leaves_apt_alone(tmp_path: Path) -> None:
    machine = Machine(tmp_path, DEMO)
    done = machine.run("demo")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not machine.asked.exists()


def test_either_name_of_a_renamed_package_counts(tmp_path: Path) -> None:
    machine = Machine(tmp_path, DEMO - {"libglib2.0-0"} | {"libglib2.0-0t64"})
    assert machine.run("demo").returncode == 0


def test_an_ordinary_user_gets_one_line_that_says_what_to_install(tmp_path: Path) -> None:
    machine = Machine(tmp_path, DEMO - {"libegl1", "libgl1"})
    done = machine.run("demo")
    assert done.returncode == 1
    assert done.stderr == "missing Debian packages: install them with: sudo apt-get install libgl1 libegl1\n"
    assert not machine.asked.exists()


def test_the_tests_need_a_broker_a_browser_and_debootstrap_too(tmp_path: Path) -> None:
    done = Machine(tmp_path, DEMO).run("test")
    assert done.returncode == 1
    assert done.stderr.endswith(
        "install mosquitto postgresql chromium libatomic1 dbus-daemon fonts-noto-cjk debootstrap"
        " swtpm libtss2-dev gcc python3-dev pkgconf strace unzip libpangoft2-1.0-0 poppler-utils perl openssl\n"
    )


def test_a_package_that_was_removed_but_not_purged_is_missing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, DEMO)
    machine._command("dpkg-query", "printf config-files")
    assert machine.run("demo").returncode == 1


def test_another_system_is_told_the_names_and_goes_on(tmp_path: Path) -> None:
    machine = Machine(tmp_path, set())
    machine.forget("dpkg-query")
    done = machine.run("demo")
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert "libgles2" in done.stderr


@pytest.mark.parametrize("purpose", ["", "lunch"])
def test_an_unknown_purpose_is_refused(tmp_path: Path, purpose: str) -> None:
    done = Machine(tmp_path, DEMO).run(purpose)
    assert done.returncode == 2
    assert "demo|test" in done.stderr
