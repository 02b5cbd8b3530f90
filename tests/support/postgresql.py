"""A real PostgreSQL on a free port with its data in a folder of its own, stopped by its own process id."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.support.ports import free_port


def _binary(name: str) -> str:
    """Debian keeps them where no PATH looks."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    return str(found[-1]) if found else shutil.which(name) or name


@dataclass
class Postgresql:
    """One server; `stop` and `start` again on the same port as a restart would."""

    port: int = field(default_factory=free_port)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="zaigang-postgresql-")))
    process: subprocess.Popen[bytes] | None = None
    _databases: int = 0

    def create(self) -> Postgresql:
        """Make the cluster. The server refuses to run as root, so there it runs as the package's user."""
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        options = ["--username=zaigang", "--auth=trust", "--encoding=UTF8", "--no-locale"]
        self._run([_binary("initdb"), "-D", str(self.folder / "data"), *options], stdout=subprocess.DEVNULL).wait(120)
        return self

    def start(self) -> Postgresql:
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}"]
        settings += ["shared_buffers=32MB", "max_connections=60"]
        arguments = [part for setting in settings for part in ("-c", setting)]
        with (self.folder / "server.log").open("ab") as log:
            self.process = self._run(
                [_binary("postgres"), "-D", str(self.folder / "data"), *arguments], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return self
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "server.log").read_text()[-3000:]
                time.sleep(0.1)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends every connection at once, in mid-transaction too; SIGQUIT does not even tidy up (a crash)."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql://zaigang@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str | None = None, name: str | None = None) -> str:
        """Create a database and return its URL."""
        self._databases += 1
        name = name or f"test_{self._databases}"
        like = "" if template is None else f" TEMPLATE {template}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}{like}")
        return self.url(name)

    def drop(self, url: str) -> None:
        name = url.rsplit("/", 1)[1]
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _run(self, arguments: list[str], **how: object) -> subprocess.Popen[bytes]:
        if os.geteuid() == 0:
            how |= {"user": "postgres", "group": "postgres", "extra_groups": []}
        return subprocess.Popen(arguments, cwd=self.folder, **how)  # type: ignore[call-overload,no-any-return]
