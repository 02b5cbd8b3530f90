"""The ledger for everybody, as C2SP tlog-tiles lays it out: static resources, no key needed.

Nothing personal is in them: an entry's leaf data is a hash over its envelope and 128 random bits.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from collector.answers import ErrorAnswer, Held
from collector.errors import NotFound
from evidence.tiles import TileName

router = APIRouter(tags=["ledger, public"])

CHECKPOINT_CACHE = "public, max-age=2"  # tlog-tiles: no longer than a few seconds
TILE_CACHE = "public, max-age=31536000, immutable"  # a tile below a checkpoint never changes
_Described = dict[int | str, dict[str, Any]]
_NOT_FOUND: _Described = {404: {"model": ErrorAnswer, "description": "Not here"}}
_BYTES: _Described = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}
_TEXT: _Described = {200: {"content": {"text/plain; charset=utf-8": {"schema": {"type": "string"}}}}}


@router.get("/checkpoint", response_class=Response, responses=_TEXT | _NOT_FOUND, summary="Newest checkpoint")
def checkpoint(held: Held) -> Response:
    """Return the newest checkpoint, a signed note (c2sp.org/tlog-checkpoint), with its witnesses' cosignatures."""
    note = held.proofs.checkpoint()
    return Response(note, media_type="text/plain; charset=utf-8", headers={"Cache-Control": CHECKPOINT_CACHE})


@router.get(
    "/tile/{level}/{rest:path}",
    response_class=Response,
    responses=_BYTES | _NOT_FOUND,
    summary="A tile of the Merkle tree",
)
def tile(held: Held, level: str, rest: str) -> Response:
    """Return 32-byte hashes one after the other (c2sp.org/tlog-tiles); level `entries` gives leaf data instead."""
    name = TileName.parse(level, rest)
    if name is None:
        raise NotFound("a tile's path is tile/<level>/<number>[.p/<width>], the number in groups of three digits")
    data = held.proofs.tile(name)
    return Response(data, media_type="application/octet-stream", headers={"Cache-Control": TILE_CACHE})
