"""RFC 3161 time-stamps over checkpoints: an outside authority's word that a checkpoint existed at a time.

Stamped is SHA-256 of the stored note, that is of text and log signature, without cosignatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import httpx
import structlog
from cryptography import x509
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, VerifierBuilder, decode_timestamp_response
from rfc3161_client.errors import VerificationError
from rfc3161_client.tsp import TimeStampResponse

from collector.database import Database, insert_into
from collector.errors import AnchorRefused, SettingsError
from collector.ledger.checkpoints import newest_checkpoint
from collector.ledger.models import Anchor
from collector.timestamps import utc_text

log = structlog.get_logger()

TIMEOUT_S = 30.0  # public authorities answer within a second or two
MAX_REPLY_BYTES = 100_000  # a token with its certificates has some 5 kB


class Anchors:
    """Has one authority stamp the newest checkpoint."""

    def __init__(
        self, database: Database, url: str, roots: Sequence[x509.Certificate], client: httpx.Client | None = None
    ) -> None:
        self._database = database
        self._url = url
        self._roots = roots
        self._client = client or httpx.Client(timeout=TIMEOUT_S, follow_redirects=False)

    def anchor(self) -> Anchor | None:
        """Stamp the newest checkpoint; None where it is stamped already. Raises AnchorRefused."""
        with self._database.read() as session:
            newest = newest_checkpoint(session)
            if newest is None or session.get(Anchor, (newest.size, self._url)) is not None:
                return None
        request = (
            TimestampRequestBuilder()
            .data(newest.note)
            .hash_algorithm(HashAlgorithm.SHA256)
            .cert_request(cert_request=True)
        ).build()
        token = self._ask(request.as_bytes())
        response = verified(token, newest.note, self._roots, VerifierBuilder.from_request(request))
        row = Anchor(size=newest.size, authority=self._url, token=token, stamped_at=stamped_at(response))
        with self._database.write() as session:
            insert = insert_into(session, Anchor).on_conflict_do_nothing()
            session.connection().execute(insert, row.model_dump())
        return row

    def _ask(self, query: bytes) -> bytes:
        try:
            answer = self._client.post(
                self._url, content=query, headers={"Content-Type": "application/timestamp-query"}
            )
        except httpx.HTTPError as error:
            raise AnchorRefused(f"{self._url} does not answer: {error or type(error).__name__}") from error
        if answer.status_code != 200 or len(answer.content) > MAX_REPLY_BYTES:
            raise AnchorRefused(f"{self._url} answers {answer.status_code} with {len(answer.content)} bytes, no token")
        return answer.content


def verified(
    token: bytes, note: bytes, roots: Sequence[x509.Certificate], builder: VerifierBuilder | None = None
) -> TimeStampResponse:
    """Return a time-stamp response that holds for this note under these roots. Raises AnchorRefused."""
    builder = builder or VerifierBuilder()
    try:
        response = decode_timestamp_response(token)
        for root in roots:
            builder = builder.add_root_certificate(root)
        builder.build().verify_message(response, note)
    except (VerificationError, ValueError) as error:
        raise AnchorRefused(f"the time-stamp does not hold for this checkpoint: {error}") from error
    return response


def stamped_at(response: TimeStampResponse) -> str:
    """Return the time in a time-stamp, RFC 3339 UTC with milliseconds."""
    return utc_text(response.tst_info.gen_time)


def load_roots(path: Path | None) -> list[x509.Certificate]:
    """Read the PEM file of the authority's root certificates; none without a file. Raises SettingsError."""
    if path is None:
        return []
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"tsa_ca {path} cannot be used: {error}") from error
