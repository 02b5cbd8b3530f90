"""The few shapes that every page draws: text in a box, a pill, the bar at the top. Texts are escaped by NiceGUI."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from collector.console.texts import Texts


def box(classes: str = "", text: str | None = None, tag: str = "div") -> Element:
    """Open an element; use it as a context to put others inside."""
    element = ui.element(tag) if text is None else TextElement(tag=tag, text=text)
    return element.classes(classes) if classes else element


def pill(text: str, tone: str) -> Element:
    """Draw a state: a coloured dot and its word; `tone` is good, warn, bad or off."""
    return box(f"zg-pill {tone}", text, "span")


def link(classes: str, target: str, text: str | None = None) -> Element:
    """Open a link."""
    element = box(classes, text, "a")
    element.props["href"] = target
    return element


PAGES = (("overview", "/"), ("evidence", "/evidence"), ("statements", "/statements"), ("dead_letters", "/dead-letters"))


@contextmanager
def page(texts: Texts, who: str, here: str = "") -> Iterator[Element]:
    """Draw the bar at the top and open the page's body; `here` is the one of PAGES that it is."""
    with box("zg") as whole:
        whole.props["lang"] = "zh-CN" if texts.language == "zh" else "en"
        with box("zg-top", tag="header"), box("zg-top-in"):
            with link("zg-brand", "/"):
                box("zg-mark", "岗")
                box(text=texts("brand"), tag="b")
                box(text=texts("product"), tag="span")
            with box("zg-nav", tag="nav"):
                for name, target in PAGES:
                    one = link("zg-here" if name == here else "", target, texts(f"nav.{name}"))
                    if name == here:
                        one.props["aria-current"] = "page"
            box("zg-gap")
            box("zg-who", who, "span")
            link("zg-docs", "/docs", texts("api_docs"))
            language_switch(texts)
            with ui.element("form") as form:
                form.props["method"], form.props["action"] = "post", "/logout"
                box("zg-button", texts("sign_out"), "button").props["type"] = "submit"
        with box("zg-page", tag="main") as body:
            yield body


def language_switch(texts: Texts) -> None:
    """Draw the link to the other language; it comes back to the page it stands on."""
    other = "en" if texts.language == "zh" else "zh"
    link("zg-button", f"/language/{other}", texts("other_language"))


def empty(what: str, hint: str) -> None:
    """Say that there is nothing, and what would bring something."""
    with box("zg-card zg-empty"):
        box(text=what, tag="b")
        box(text=hint, tag="span")


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Draw names and values, a line each."""
    with box("zg-list", tag="dl"):
        for name, value in pairs:
            with box():
                box(text=name, tag="dt")
                box(text=value, tag="dd")


def two(classes: str, first: str, second: str) -> None:
    """Draw a cell of two lines."""
    with box(f"{classes} zg-two"):
        box(text=first, tag="b")
        if second:
            box(text=second, tag="span")


def title(text: str, intro: str = "") -> None:
    """Draw a page's heading and the sentence under it."""
    with box("zg-title"):
        box(text=text, tag="h1")
    if intro:
        box("zg-intro", intro, "p")
