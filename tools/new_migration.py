"""Writes the next migration: what the models have and the newest revision has not. Read it, then set HEAD in schema.py.

python tools/new_migration.py 0007 "What holds now"
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command

from collector.schema import alembic_config
from collector.sqlite import SqliteDatabase


def main(revision: str, message: str) -> None:
    """Bring an empty database to the newest revision and write down what is still missing."""
    with tempfile.TemporaryDirectory() as folder:
        database = SqliteDatabase(Path(folder) / "empty.sqlite")
        with database.write() as session:
            config = alembic_config(session.connection())
            command.upgrade(config, "head")
            written = command.revision(config, message, autogenerate=True, rev_id=revision)
        database.close()
    files = [str(one.path) for one in ([written] if not isinstance(written, list) else written) if one is not None]
    subprocess.run([Path(sys.executable).with_name("ruff"), "format", *files], check=True)
    subprocess.run([Path(sys.executable).with_name("ruff"), "check", "--fix", "-q", *files], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
