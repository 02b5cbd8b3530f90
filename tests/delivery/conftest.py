"""The collector's bench, for suites that need both ends."""

from __future__ import annotations

from tests.collector.conftest import bench as bench
