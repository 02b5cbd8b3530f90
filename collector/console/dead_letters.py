"""The page about dead letters: what could not enter the ledger, why, and what it was."""

from __future__ import annotations

from collections.abc import Mapping

from collector.console.elements import box, empty, facts, link, page, title
from collector.console.moments import house_zone, shown
from collector.console.texts import Texts
from collector.ingest.models import DeadLetter, DeadLetterCount
from collector.services import Services

SHOWN = 50
HEX_BYTES = 256  # of what is no text; enough to tell what it was


def draw_dead_letters(services: Services, parameters: Mapping[str, str], texts: Texts, who: str) -> None:
    """Draw the page; `before` in the address is where to go on."""
    zone = house_zone(services)
    asked = parameters.get("before", "")
    before = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 19 else None
    found = services.dead_letters.page(before, SHOWN + 1)
    with page(texts, who, "dead_letters"):
        title(texts("dead_letters_page"), texts("dead_letters_intro"))
        if not found:
            empty(texts("dead_letters_none"), texts("dead_letters_none_hint"))
            return
        with box("zg-detail"):
            with box(tag="section"):
                for letter in found[:SHOWN]:
                    _letter(letter, zone, texts)
                with box("zg-onward"):
                    if before is not None:
                        link("zg-button", "/dead-letters", texts("newest"))
                    if len(found) > SHOWN:
                        link("zg-button", f"/dead-letters?before={found[SHOWN - 1].id}", texts("older"))
            with box(tag="section"):
                box(text=texts("dead.counts"), tag="h2")
                _counts(services.dead_letters.counts(), zone, texts)


def _letter(letter: DeadLetter, zone: str, texts: Texts) -> None:
    with box("zg-card zg-letter"):
        with box("zg-device-head"):
            box("zg-device-name", why(letter.code, texts))
            if letter.times > 1:
                box("zg-device-site", texts("dead.times", n=letter.times))
        box("zg-device-site", f"{letter.source or texts('dead.nobody')} · {shown(letter.last_at, zone)}")
        if letter.leaf_index is not None:
            box("zg-device-site", texts("dead.entry", n=letter.leaf_index))
        with box(tag="details"):
            box(text=texts("dead.content"), tag="summary")
            facts(
                [
                    (texts("dead.said"), f"{letter.code}: {letter.message}"),
                    (texts("dead.topic"), letter.topic),
                    (texts("dead.size"), texts("dead.bytes", n=letter.size)),
                    ("SHA-256", letter.sha256),
                    (texts("dead.first"), shown(letter.received_at, zone)),
                    (texts("dead.last"), shown(letter.last_at, zone)),
                ]
            )
            content, is_text = readable(letter.content)
            if not is_text:
                box("zg-device-site zg-inside", texts("dead.hex"))
            box(text=content, tag="pre")


def _counts(counts: list[DeadLetterCount], zone: str, texts: Texts) -> None:
    with box("zg-card"):
        facts(
            (
                f"{one.source or texts('dead.nobody')} · {shown(one.last_at, zone)}",
                f"{why(one.code, texts)}: {texts('dead.times', n=one.times)}",
            )
            for one in counts
        )
    box("zg-device-site", texts("dead.kept"))


def why(code: str, texts: Texts) -> str:
    """Name the reason; the code and the sentence of a rare one stand with the contents."""
    return texts.get(f"dead.code.{code}", texts("dead.code.other"))


def readable(content: bytes) -> tuple[str, bool]:
    """Return what stands in a message, and whether it is text; of anything else the beginning in hexadecimal."""
    text = content.decode("utf-8", "replace")
    whole = text.rstrip("\ufffd")  # cut off in the middle of a character at 4 KiB
    if "\ufffd" not in whole and all(one.isprintable() or one in "\n\r\t" for one in whole):
        return whole, True
    return content[:HEX_BYTES].hex(" "), False
