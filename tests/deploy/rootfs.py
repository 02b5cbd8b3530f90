"""An empty Debian root file system, made by debootstrap once, kept in the user's cache and copied for each test."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

USER_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = USER_CACHE / "zaigang"
# What this machine downloaded once, for itself or for a root file system, is not downloaded again.
SHARED = {"/root/.cache/pip": USER_CACHE / "pip", "/var/cache/apt/archives": CACHE / "apt"}
# Python is what Ansible needs; everything else the playbook installs itself.
INCLUDED = "ca-certificates,python3"
# How this machine reaches package indexes holds inside as well.
PASSED_ON = re.compile(
    r"PIP_(CERT|INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|DEFAULT_TIMEOUT|RETRIES)|(https?|no)_proxy", re.I
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class RootFs:
    """A folder that holds a Debian system."""

    folder: Path

    def path(self, inside: str) -> Path:
        """Return where an absolute path of the system lies."""
        return self.folder / inside.lstrip("/")

    def command(self, *argv: str, user: str | None = None) -> list[str]:
        """Return the command line that runs `argv` inside, as root or another user; it becomes that very process."""
        inside = [
            "chroot", str(self.folder), "/usr/bin/env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8",
            "DEBIAN_FRONTEND=noninteractive", *(f"{k}={v}" for k, v in os.environ.items() if PASSED_ON.fullmatch(k)),
        ]  # fmt: skip
        if user is not None:
            inside += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "env", f"HOME=/var/lib/{user}"]
        # Semaphores between processes live in /dev/shm.
        mounts = [
            ["mount", "-t", "proc", "proc", str(self.path("/proc"))],
            ["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(self.path("/dev/shm"))],
        ]
        self.path("/dev/shm").mkdir(exist_ok=True)
        for place, kept in SHARED.items():
            kept.mkdir(parents=True, exist_ok=True)
            self.path(place).mkdir(parents=True, exist_ok=True)
            mounts.append(["mount", "--bind", str(kept), str(self.path(place))])
        script = " && ".join([*map(shlex.join, mounts), "exec " + shlex.join([*inside, *argv])])
        return ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script]

    def run(self, *argv: str, user: str | None = None) -> str:
        """Run a command inside and return what it printed. Raises AssertionError with its output when it fails."""
        done = subprocess.run(self.command(*argv, user=user), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def fresh_root(suite: str) -> RootFs:
    """Return an empty system of the suite in a temporary folder; whoever asked removes it."""
    base = CACHE / f"debian-{suite}"
    if not (base / ".complete").exists():
        _bootstrap(suite, base)
    folder = Path(tempfile.mkdtemp(prefix=f"zaigang-{suite}-"))
    subprocess.run(["cp", "-a", "--reflink=auto", f"{base}/.", str(folder)], check=True)
    folder.chmod(0o755)
    return RootFs(folder)


def _bootstrap(suite: str, base: Path) -> None:
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={INCLUDED}", suite, str(base), *_mirror()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"debootstrap {suite}: {done.stdout[-500:]}{done.stderr[-500:]}"
    # The network of this machine: name server, package proxy, the authorities that its package clients trust.
    shutil.copy("/etc/resolv.conf", base / "etc/resolv.conf")
    shutil.copytree("/etc/apt/apt.conf.d", base / "etc/apt/apt.conf.d", dirs_exist_ok=True)
    own = Path("/usr/local/share/ca-certificates")
    if own.is_dir():
        shutil.copytree(own, base / "usr/local/share/ca-certificates", dirs_exist_ok=True)
    for bundle in {"/etc/ssl/certs/ca-certificates.crt", os.environ.get("PIP_CERT", "")}:
        if bundle and Path(bundle).is_file():
            (base / bundle.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(bundle, base / bundle.lstrip("/"))
    # No service starts while packages are being installed: the real ones run on this very network.
    policy = base / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    # Nothing here outlives a power cut anyway: dpkg need not sync every file.
    (base / "etc/dpkg/dpkg.cfg.d/quick").write_text("force-unsafe-io\n")
    (base / ".complete").touch()


def _mirror() -> list[str]:
    """Return the Debian mirror that this machine itself uses, or nothing for debootstrap's default."""
    for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.[ls]*"))]:
        if file.suffix in (".list", ".sources") and file.is_file():
            found = re.search(r"^(?:URIs: *|deb (?:\[[^]]*\] )?)(\S+/debian/?)(?: |$)", file.read_text(), re.MULTILINE)
            if found:
                return [found[1]]
    return []
