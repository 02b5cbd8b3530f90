"""The foreign implementation is foreign: Perl's own modules, its own files, openssl, and nothing of the project."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.conformance.foreign import PERL, ROOT, Abroad

PROJECT = {"evidence", "kiosk", "collector", "witness", "zaigang"}
OWN = {path.stem for path in PERL.glob("*.pm")}
FILES = sorted(path for path in PERL.iterdir() if path.is_file())
# Of the Perl distribution itself (perldoc perlmodlib); Debian's package perl has them all.
CORE = {
    *("v5.36", "utf8", "lib", "overload", "warnings", "constant"),
    *("Digest::SHA", "Encode", "Exporter", "File::Temp", "FindBin", "IO::Handle", "IO::Select", "IO::Socket::INET"),
    *("MIME::Base64", "Math::BigInt", "POSIX", "Socket", "Time::HiRes"),
}


def _code(path: Path) -> str:
    return re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_uses_only_perls_own_modules_and_its_neighbours(path: Path) -> None:
    used = set(re.findall(r"^\s*(?:use|require|no)\s+([\w:.]+)", _code(path), re.MULTILINE))
    assert used <= CORE | OWN


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_runs_another_program_than_openssl(path: Path) -> None:
    code = _code(path)
    assert not re.search(r"\bsystem\b|\bqx\b|`|open\d\b|'-\||'\|-|\bdo\s+['\"]", code)
    assert all(one.startswith("exec 'openssl', ") for one in re.findall(r"\bexec\b[^;]*", code))


def test_all_that_perl_loads_is_its_own_or_lies_beside_it(tmp_path: Path) -> None:
    abroad = Abroad.in_folder(tmp_path)
    program = "".join(f"require {name}; " for name in sorted(OWN)) + r'print "$_\n" for values %INC'
    perl, folder = str(tmp_path / "bin" / "perl"), str(tmp_path / "perl")
    where = [perl, f"-I{folder}", "-e", program]
    loaded = subprocess.run(where, env=abroad.environment, capture_output=True, text=True, timeout=60, check=True)
    paths = [Path(line) for line in loaded.stdout.splitlines()]
    assert {path.stem for path in paths if path.is_relative_to(folder)} == OWN
    own = subprocess.run([perl, "-e", r'print "$_\n" for @INC'], env=abroad.environment, capture_output=True, text=True)
    places = [Path(line) for line in own.stdout.splitlines() if line.startswith("/usr/")]
    assert all(path.is_relative_to(folder) or any(path.is_relative_to(one) for one in places) for path in paths)


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_what_drives_it_imports_nothing_of_the_project_either(path: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.split(".")[0])
    assert not imported & PROJECT


def test_its_environment_leads_to_nothing_of_ours(tmp_path: Path) -> None:
    environment = Abroad.in_folder(tmp_path).environment
    assert environment.keys() == {"PATH", "TMPDIR"}
    assert not any(str(ROOT) in value for value in environment.values())
