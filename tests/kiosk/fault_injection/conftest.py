"""What the terminals of a file share: one watch of what is called, one set of patches, logs without tracebacks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from tests.support.faults import CallRecorder


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as one:
        yield one


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """A traceback with every local variable, a hundred times over, hides what failed and takes half of the time."""
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def recorder() -> CallRecorder:
    return CallRecorder()
