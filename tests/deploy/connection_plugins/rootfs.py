"""Ansible connection into a Debian root file system (`ansible_host` is its folder): chroot in its own mount namespace.

The mounts belong to the one command that needs them and vanish with it, however it ends.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ansible.plugins.connection import ConnectionBase

from tests.deploy.rootfs import RootFs

DOCUMENTATION = """
name: rootfs
short_description: chroot into a root file system
description: Runs commands inside a folder that holds a Debian system.
author: Zaigang
options:
  remote_addr:
    description: The folder.
    vars:
      - name: ansible_host
"""


class Connection(ConnectionBase):
    """One root file system."""

    transport = "rootfs"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._root = RootFs(Path(self.get_option("remote_addr")))
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        done = subprocess.run(
            self._root.command("/bin/sh", "-c", cmd), input=in_data or b"", capture_output=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        shutil.copyfile(in_path, self._root.path(out_path))

    def fetch_file(self, in_path: str, out_path: str) -> None:
        shutil.copyfile(self._root.path(in_path), out_path)

    def close(self) -> None:
        pass
