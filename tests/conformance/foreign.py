"""The foreign implementation of the protocol, in Perl: where it lies, and a copy of it that sees nothing of ours.

Whatever runs here gets the Perl files, the published vectors, and a PATH with perl and openssl on it, and no more.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PERL = ROOT / "tests" / "conformance" / "perl"
VECTORS = ROOT / "docs" / "spec" / "vectors"
PROGRAMS = ("perl", "openssl")  # all that a stranger needs here; Debian has both


@dataclass(frozen=True)
class Abroad:
    """A folder with a copy of the Perl files and of the vectors."""

    folder: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Abroad:
        """Copy what a stranger has: his own program and docs/spec/vectors."""
        shutil.copytree(PERL, folder / "perl")
        shutil.copytree(VECTORS, folder / "vectors")
        (folder / "bin").mkdir()
        for name in PROGRAMS:
            found = shutil.which(name)
            assert found is not None, f"{name} is missing; tools/debian-packages test installs it"
            (folder / "bin" / name).symlink_to(found)
        return cls(folder)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of ours: no PYTHONPATH, no PERL5LIB, no other program."""
        return {"PATH": str(self.folder / "bin"), "TMPDIR": str(self.folder)}

    def command(self, script: str, *arguments: str) -> list[str]:
        """A command line that runs one of the scripts."""
        return [str(self.folder / "bin" / "perl"), str(self.folder / "perl" / script), *arguments]

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a script to its end."""
        return subprocess.run(
            self.command(script, *arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What `check-vectors` said of each case: an empty text where it holds, else what is wrong."""
    assert done.stderr == ""
    said: dict[str, str] = {}
    for line in done.stdout.splitlines():
        verdict, _, rest = line.partition("ok ")
        name, _, wrong = rest.partition(": ")
        assert verdict in ("", "not ") and (verdict == "") == (wrong == ""), line
        assert name not in said, f"{name} was said twice"
        said[name] = wrong
    return said
