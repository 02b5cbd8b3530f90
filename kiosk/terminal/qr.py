"""The worker's receipt as a QR code: inline SVG on whole pixels."""

from __future__ import annotations

import io

import segno

QUIET_ZONE_MODULES = 4  # ISO/IEC 18004


def qr_svg(text: str, size_px: int) -> str:
    """Return an SVG at most `size_px` wide whose modules are whole pixels, so that no edge is grey."""
    code = segno.make(text, error="m", micro=False, boost_error=False)
    modules = int(code.symbol_size(border=QUIET_ZONE_MODULES)[0])
    scale = max(1, size_px // modules)
    out = io.BytesIO()
    code.save(
        out,
        kind="svg",
        scale=scale,
        border=QUIET_ZONE_MODULES,
        dark="#000",
        light="#fff",
        xmldecl=False,
        svgns=True,
        svgclass="qr",
        lineclass=None,
    )
    return out.getvalue().decode()
