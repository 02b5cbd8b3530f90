"""The SQLite file under the gallery: its tables, and how a file of an earlier version gets those of this one.

Every format is named by `user_version`. Format 0 is both a new file and version 0.1's, which gave itself no number.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

FORMAT = 2

# Version 0.1's tables; an earlier file has them already.
_FIRST = """
create table if not exists mark (id integer primary key check (id = 1), sealed blob not null);
create table if not exists person (worker text primary key, sealed blob not null);
create table if not exists template (
  worker text not null references person (worker) on delete cascade,
  model text not null,
  sealed blob not null,
  primary key (worker, model)
);
"""
# Format 2: what is owed to the chain, and counted attempts. Records of persons grew fields, which `gallery_record`
# reads as absent in older ones; no row is rewritten.
_SECOND = """
create table owed (
  place integer primary key, id text not null unique, sealed blob not null, cleaned integer not null
);
create table attempt (kind text not null, subject text not null, sealed blob not null, primary key (kind, subject));
"""


class UnknownFormat(Exception):
    """The file was written by a later version."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, made readable by its owner only before anything is in it. Raises OSError or sqlite3.Error."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return sqlite3.connect(path, check_same_thread=False, isolation_level=None)


def prepare(database: sqlite3.Connection) -> None:
    """Set how the file is written, and bring its tables to FORMAT, whole or not at all.

    Raises UnknownFormat or sqlite3.Error.
    """
    for pragma in ("journal_mode=delete", "synchronous=full", "secure_delete=on", "foreign_keys=on"):
        database.execute(f"pragma {pragma}")
    (found,) = database.execute("pragma user_version").fetchone()
    if found == FORMAT:
        return
    if found != 0:
        raise UnknownFormat(f"the gallery has format {found}, known is {FORMAT}; update zaigang")
    try:
        database.executescript(f"begin immediate; {_FIRST} {_SECOND} pragma user_version = {FORMAT}; commit;")
    except sqlite3.Error:
        if database.in_transaction:
            database.execute("rollback")
        raise
