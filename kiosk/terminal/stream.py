"""The live picture as one multipart response (MJPEG): the oldest way to a moving picture without a line of script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import structlog
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

PICTURE_PATH = "/picture.mjpeg"
BOUNDARY = "zaigang-frame"
NEXT_PART = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
POLL_S = 0.04  # 25 looks a second: as fast as the camera
GIVE_UP_S = 3.0  # a picture that stays away this long ends the response; a page that wants it asks again

log = structlog.get_logger(__name__)


class HasPicture(Protocol):
    """Whoever has a live picture."""

    def picture(self) -> bytes | None:
        """The newest as JPEG; None where there is none to show."""


def picture_router(service: HasPicture) -> APIRouter:
    """Return the route that streams `service.picture()`."""
    router = APIRouter()

    @router.get(PICTURE_PATH, include_in_schema=False)
    async def picture() -> StreamingResponse:
        return StreamingResponse(
            _parts(service),
            media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}",
            headers={"Cache-Control": "no-store"},
        )

    return router


async def _parts(service: HasPicture) -> AsyncIterator[bytes]:
    # Chromium draws a part only when it has read the head of the next one. So each picture is followed by that head
    # at once, without a Content-Length that nobody knows yet; else the screen would lag one picture behind.
    yield NEXT_PART
    shown: bytes | None = None
    missing_s = 0.0
    while missing_s < GIVE_UP_S:
        jpeg = _newest(service)
        missing_s = missing_s + POLL_S if jpeg is None else 0.0
        if jpeg is not None and jpeg is not shown:
            shown = jpeg
            yield jpeg + b"\r\n" + NEXT_PART
        await asyncio.sleep(POLL_S)


def _newest(service: HasPicture) -> bytes | None:
    try:
        return service.picture()
    except Exception:
        log.exception("the picture cannot be had")  # the page itself shows out of order when view() fails too
        return None
