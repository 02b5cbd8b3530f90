"""Signing in and out and choosing the language: plain HTTP, no script, so that it works on any browser."""

from __future__ import annotations

import html
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from collector.auth.sessions import COOKIE, LIFETIME_S, Sessions
from collector.console.style import STYLE
from collector.console.texts import Language, Texts, preferred
from collector.errors import Unauthorised

LANGUAGE_COOKIE = "zaigang_language"
_YEAR_S = 365 * 24 * 3600


def language_of(request: Request) -> Texts:
    """Return the texts for whoever asks: as chosen, else as the browser prefers."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    return Texts("zh" if chosen == "zh" else "en" if chosen == "en" else preferred(_accepted(request)))


def routes(sessions: Sessions) -> APIRouter:
    """Build the routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/login")
    def form(request: Request) -> HTMLResponse:
        return HTMLResponse(_page(language_of(request), wrong=False))

    @router.post("/login")
    def sign_in(request: Request, key: Annotated[str, Form(max_length=200)] = "") -> Response:
        try:
            value = sessions.open(key.strip())
        except Unauthorised:
            return HTMLResponse(_page(language_of(request), wrong=True), 401)
        answer = RedirectResponse("/", 303)
        # Not `secure`: behind a proxy that ends TLS this server speaks plain HTTP and cannot know.
        answer.set_cookie(COOKIE, value, max_age=LIFETIME_S, httponly=True, samesite="strict")
        return answer

    @router.post("/logout")
    def sign_out() -> RedirectResponse:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer

    @router.get("/language/{language}")
    def choose(request: Request, language: Language) -> RedirectResponse:
        answer = RedirectResponse(_came_from(request), 303)
        answer.set_cookie(LANGUAGE_COOKIE, language, max_age=_YEAR_S, samesite="lax")
        return answer

    return router


def _accepted(request: Request) -> str:
    return request.headers.get("accept-language", "")


def _came_from(request: Request) -> str:
    """The path of the page with the link: only ever a path here, whatever the Referer says."""
    path = urlsplit(request.headers.get("referer", "")).path
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


def _page(texts: Texts, *, wrong: bool) -> str:
    t = {key: html.escape(texts(key)) for key in _SHOWN}
    other = "en" if texts.language == "zh" else "zh"
    failed = f'<p class="zg-wrong" role="alert">{t["sign_in_failed"]}</p>' if wrong else ""
    return f"""<!doctype html>
<html lang="{"zh-CN" if texts.language == "zh" else "en"}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{t["brand"]} · {t["sign_in"]}</title>
<link rel="icon" href="data:,"><style>{STYLE}</style></head>
<body><div class="zg zg-login">
<div class="zg-login-bar"><a class="zg-button" href="/language/{other}">{t["other_language"]}</a></div>
<main class="zg-login-box">
<div class="zg-brand"><div class="zg-mark">岗</div><b>{t["brand"]}</b><span>{t["product"]}</span></div>
<form class="zg-card" method="post" action="/login">{failed}
<label for="key">{t["api_key"]}</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus spellcheck="false">
<p>{t["api_key_hint"]}</p>
<button class="zg-primary" type="submit">{t["sign_in"]}</button></form>
</main></div></body></html>"""


_SHOWN = ("brand", "product", "sign_in", "other_language", "api_key", "api_key_hint", "sign_in_failed")
