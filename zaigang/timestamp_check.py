"""RFC 3161 time-stamp tokens, where the library that reads them is installed; the base installation has none."""

from __future__ import annotations

import importlib.util

from cryptography import x509

from evidence.bundle import CheckToken
from evidence.errors import TimestampError


def token_check() -> CheckToken | None:
    """Return the check, or None where this installation cannot read tokens (the report then says so)."""
    return None if importlib.util.find_spec("rfc3161_client") is None else check_token


def check_token(token: bytes, note: bytes, authorities: list[str]) -> str:
    """Check a time-stamp response over `note` under these root certificates in PEM; return its time.

    Raises TimestampError.
    """
    from rfc3161_client import VerifierBuilder, decode_timestamp_response
    from rfc3161_client.errors import VerificationError

    try:
        builder = VerifierBuilder()
        for pem in authorities:
            for root in x509.load_pem_x509_certificates(pem.encode()):
                builder = builder.add_root_certificate(root)
        response = decode_timestamp_response(token)
        builder.build().verify_message(response, note)
    except (VerificationError, ValueError) as error:
        raise TimestampError(f"the token does not stand for this checkpoint under your authorities: {error}") from error
    return response.tst_info.gen_time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
