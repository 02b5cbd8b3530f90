"""The live picture as one multipart response (MJPEG): the oldest way to a moving picture without a line of script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from kiosk.terminal.view import TerminalService

PICTURE_PATH = "/picture.mjpeg"
BOUNDARY = b"zaigang-frame"
POLL_S = 0.04  # 25 looks a second: as fast as the camera
GIVE_UP_S = 3.0  # a picture that stays away this long ends the response; a page that wants it asks again

log = structlog.get_logger(__name__)


def picture_router(service: TerminalService) -> APIRouter:
    """Return the route that streams `service.picture()`."""
    router = APIRouter()

    @router.get(PICTURE_PATH, include_in_schema=False)
    async def picture() -> StreamingResponse:
        return StreamingResponse(
            _parts(service),
            media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}",
            headers={"Cache-Control": "no-store"},
        )

    return router


async def _parts(service: TerminalService) -> AsyncIterator[bytes]:
    # The boundary follows each part at once: Chromium draws a part only when it has seen where it ends.
    yield b"--" + BOUNDARY + b"\r\n"
    shown: bytes | None = None
    missing_s = 0.0
    while missing_s < GIVE_UP_S:
        jpeg = _newest(service)
        missing_s = missing_s + POLL_S if jpeg is None else 0.0
        if jpeg is not None and jpeg is not shown:
            shown = jpeg
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
            yield head + jpeg + b"\r\n--" + BOUNDARY + b"\r\n"
        await asyncio.sleep(POLL_S)


def _newest(service: TerminalService) -> bytes | None:
    try:
        return service.picture()
    except Exception:
        log.exception("the picture cannot be had")  # the page itself shows out of order when view() fails too
        return None
