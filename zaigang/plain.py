"""Text that came from a file, fit to be printed."""

from __future__ import annotations


def plain(text: str, keep: str = "") -> str:
    """Text from a file must not steer the reader's terminal: what is not printable is written as a code."""
    return "".join(one if one.isprintable() or one in keep else f"\\u{ord(one):04x}" for one in text)
