"""A signed worker.enrolled event as a row. Pure."""

from __future__ import annotations

from typing import Any

from evidence.events import Event, WorkerEnrolledBody, WorkerErasedBody


def enrolment_row(event: Event, body: WorkerEnrolledBody, leaf_index: int) -> dict[str, Any]:
    """Return the columns of `enrolments`."""
    return {
        "leaf_index": leaf_index,
        "worker": body.worker,
        "device": event.device,
        "time": event.time,
        "model": body.model or "",  # badge and PIN without a face; the column takes no null
        "frames": body.frames,
        "authorised_by": body.authorised_by,
        "authorisation": body.authorisation,
    }


def template_erasure_row(event: Event, body: WorkerErasedBody, leaf_index: int) -> dict[str, Any]:
    """Return the columns of `template_erasures`."""
    return {
        "leaf_index": leaf_index,
        "device": event.device,
        "enrolment": body.enrolment,
        "scope": body.scope,
        "reason": body.reason,
        "time": event.time,
    }
