"""Console sessions: a cookie that says which API key opened it and until when, sealed with HMAC-SHA256.

Nothing is kept on the server; each use looks the API key up again, so revoking the key ends its sessions at once.
"""

from __future__ import annotations

import hmac
import re
import time

from collector.auth.service import ApiKeys, Caller
from collector.errors import Unauthorised

COOKIE = "zaigang_session"
LIFETIME_S = 12 * 3600  # a working day; a console left open overnight asks again
_VALUE = re.compile(r"([0-9a-f]{12})\.([0-9]{1,12})\.([0-9a-f]{64})")


class Sessions:
    """Opens and checks console sessions."""

    def __init__(self, secret: bytes, api_keys: ApiKeys) -> None:
        self._secret = secret
        self._api_keys = api_keys

    def open(self, presented: str, now_s: float | None = None) -> str:
        """Return a cookie's value for a good API key. Raises Unauthorised."""
        caller = self._api_keys.check(presented)
        statement = f"{caller.key_id}.{int((time.time() if now_s is None else now_s) + LIFETIME_S)}"
        return f"{statement}.{self._seal(statement)}"

    def holder(self, value: str | None, now_s: float | None = None) -> Caller:
        """Return who opened the session. Raises Unauthorised if it is forged, over, or its key revoked."""
        match = _VALUE.fullmatch(value or "")
        if match is None:
            raise Unauthorised("there is no session; sign in")
        statement = f"{match[1]}.{match[2]}"
        if not hmac.compare_digest(self._seal(statement), match[3]):
            raise Unauthorised("the session is not one of ours; sign in")
        if int(match[2]) <= (time.time() if now_s is None else now_s):
            raise Unauthorised("the session is over; sign in again")
        return self._api_keys.holder(match[1])

    def _seal(self, statement: str) -> str:
        return hmac.digest(self._secret, f"session\n{statement}".encode(), "sha256").hex()
