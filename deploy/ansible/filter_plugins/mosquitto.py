"""Mosquitto's password hash (`$7$`: PBKDF2-HMAC-SHA512), made so that the same password gives the same line."""

from __future__ import annotations

import base64
import hashlib
import hmac

ITERATIONS = 101  # mosquitto_passwd's own default
SALT_BYTES = 12
HASH_BYTES = 64


def mosquitto_hash(password: str, user: str) -> str:
    """Return what mosquitto_passwd would write behind `user:`.

    The salt is derived from the password and the user instead of drawn: the passwords are random and long, one a
    user, so nothing is lost, and a second run changes nothing. Raises ValueError for a short password.
    """
    if len(password) < 20:
        raise ValueError(f"the broker password of {user} must have at least 20 random characters")
    salt = hmac.digest(password.encode(), b"mosquitto " + user.encode(), "sha512")[:SALT_BYTES]
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, HASH_BYTES)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, object]:
        """Name the filter."""
        return {"mosquitto_hash": mosquitto_hash}
