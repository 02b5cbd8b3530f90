"""A TPM 2.0: signing keys that never leave it, and small secrets sealed to it. Standard: TCG TPM 2.0 Library, rev 1.59.

Keys are children of the storage primary key (TCG's ECC P-256 template under the owner hierarchy), which the TPM derives
anew from its own seed each time; what lies on disk is wrapped by it and useless to another machine. Uses tpm2-pytss,
imported where it is used. Safe from several threads.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib.util
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from evidence.errors import InvalidKey
from evidence.keys import Algorithm, PublicKey, low_s
from kiosk.errors import KeyFileUnreadable, TpmFailed

if TYPE_CHECKING:
    from tpm2_pytss import ESAPI

DEVICE = Path("/dev/tpmrm0")  # the kernel's resource manager: several programs share one TPM
MAX_SEALED_BYTES = 128  # TPM2_MAX_SYM_DATA, what any TPM seals

log = structlog.get_logger(__name__)
_T = TypeVar("_T")


def choose_tpm(setting: str) -> Tpm | None:
    """Return the TPM that `setting` names: "auto" (the machine's own, where there is one), "none", or a TCTI.

    A TCTI is what tpm2-tss takes, such as `device:/dev/tpmrm0` or `swtpm:host=127.0.0.1,port=2321`. Raises TpmFailed
    where tpm2-pytss is missing for a TPM that was named.
    """
    usable = importlib.util.find_spec("tpm2_pytss") is not None
    if setting == "none":
        return None
    if setting != "auto":
        if not usable:
            raise TpmFailed("tpm2-pytss is not installed; pip install 'zaigang[tpm]', or set tpm = \"none\"")
        return Tpm(setting)
    if DEVICE.exists() and not (usable and os.access(DEVICE, os.R_OK | os.W_OK)):
        log.warning("tpm_not_used", why=f"tpm2-pytss is missing or {DEVICE} is closed to this user (group tss)")
        return None
    return Tpm(f"device:{DEVICE}") if DEVICE.exists() else None


class Tpm:
    """One TPM, reached by a TCTI. A connection that broke is opened once more before an operation is given up.

    Every method raises TpmFailed where the TPM does not do it, KeyFileUnreadable for a blob that is not one.
    """

    def __init__(self, tcti: str) -> None:
        self._tcti = tcti
        self._lock = threading.RLock()
        self._context: ESAPI | None = None
        self._loaded: tuple[bytes, Any] | None = None  # the key that is held, and its handle in `_context`

    def create_key(self) -> bytes:
        """Make a P-256 signing key; return its wrapped form (TSS2 PEM, as tpm2-openssl reads it)."""
        from tpm2_pytss.tsskey import TSSPrivKey

        return self._do(lambda tpm: bytes(TSSPrivKey.create_ecc(tpm).to_pem()))

    def public(self, wrapped: bytes) -> PublicKey:
        """Return the public half of a wrapped key; the TPM is not asked."""
        spki = serialization.load_pem_public_key(_key(wrapped).public.to_pem()).public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return PublicKey(Algorithm.ES256, spki)

    def sign(self, wrapped: bytes, message: bytes, *, keep: bool) -> bytes:
        """Return ES256 over `message`: 64 bytes R||S, low-S. `keep`: the key stays loaded for the next signature."""
        from tpm2_pytss import TPM2_ALG, TPM2_RH, TPM2_ST, TPMT_SIG_SCHEME, TPMT_TK_HASHCHECK

        scheme = TPMT_SIG_SCHEME(scheme=TPM2_ALG.ECDSA)
        scheme.details.any.hashAlg = TPM2_ALG.SHA256
        # Not hashed by the TPM: allowed for a key that is not restricted to statements of the TPM's own.
        ticket = TPMT_TK_HASHCHECK(tag=TPM2_ST.HASHCHECK, hierarchy=TPM2_RH.NULL)

        def work(tpm: ESAPI) -> bytes:
            signature = tpm.sign(self._handle(tpm, wrapped), hashlib.sha256(message).digest(), scheme, ticket)
            ecdsa = signature.signature.ecdsa
            return low_s(int.from_bytes(bytes(ecdsa.signatureR), "big"), int.from_bytes(bytes(ecdsa.signatureS), "big"))

        with self._lock:
            signed = self._do(work)
            if not keep:
                self.unload()
        return signed

    def unload(self) -> None:
        """Let the TPM forget the key that is held."""
        with self._lock:
            loaded, self._loaded = self._loaded, None
            if loaded is not None and self._context is not None:
                self._do(lambda tpm: tpm.flush_context(loaded[1]))

    def seal(self, secret: bytes) -> bytes:
        """Wrap at most MAX_SEALED_BYTES so that only this TPM gives them back."""
        from tpm2_pytss import TPM2_ALG, TPM2B_PUBLIC, TPM2B_SENSITIVE_CREATE, TPMA_OBJECT, TPMT_PUBLIC

        if len(secret) > MAX_SEALED_BYTES:
            raise ValueError(f"a TPM seals at most {MAX_SEALED_BYTES} bytes")
        area = TPMT_PUBLIC(
            type=TPM2_ALG.KEYEDHASH,
            nameAlg=TPM2_ALG.SHA256,
            objectAttributes=TPMA_OBJECT.FIXEDTPM
            | TPMA_OBJECT.FIXEDPARENT
            | TPMA_OBJECT.USERWITHAUTH
            | TPMA_OBJECT.NODA,
        )
        area.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG.NULL
        sensitive = TPM2B_SENSITIVE_CREATE()
        sensitive.sensitive.data = secret

        def work(tpm: ESAPI) -> bytes:
            with _primary(tpm) as parent, _session(tpm, parent, to_tpm=True) as session:
                private, public, *_ = tpm.create(parent, sensitive, TPM2B_PUBLIC(publicArea=area), session1=session)
            parts = {"public": public.marshal(), "private": private.marshal()}
            return json.dumps({name: base64.b64encode(part).decode() for name, part in parts.items()}).encode()

        return self._do(work)

    def unseal(self, sealed: bytes) -> bytes:
        """Return what was sealed. The answer is encrypted on its way: the wires of an SPI TPM can be read."""
        from tpm2_pytss import TPM2B_PRIVATE, TPM2B_PUBLIC

        try:
            parts = {name: base64.b64decode(text, validate=True) for name, text in json.loads(sealed).items()}
            public, _ = TPM2B_PUBLIC.unmarshal(parts["public"])
            private, _ = TPM2B_PRIVATE.unmarshal(parts["private"])
        except (ValueError, KeyError, AttributeError, TypeError, binascii.Error, _tss_error()) as error:
            raise KeyFileUnreadable("the sealed key cannot be read; restore its file") from error

        def work(tpm: ESAPI) -> bytes:
            with (
                _primary(tpm) as parent,
                tpm.load(parent, private, public) as item,
                _session(tpm, parent, to_tpm=False) as session,
            ):
                return bytes(tpm.unseal(item, session1=session))

        return self._do(work)

    def close(self) -> None:
        """End the connection; what is held in the TPM goes with it."""
        with self._lock:
            context, self._context, self._loaded = self._context, None, None
            if context is not None:
                context.close()

    def _do(self, work: Callable[[ESAPI], _T]) -> _T:
        with self._lock:
            try:
                return work(self._open())
            except (_tss_error(), RuntimeError) as first:  # RuntimeError: the TCTI cannot be had
                log.info("tpm_reopened", why=str(first))
            self._give_up()
            try:
                return work(self._open())
            except (_tss_error(), RuntimeError) as error:
                self._give_up()
                raise TpmFailed(f"the TPM ({self._tcti}) does not do what it has to: {error}") from error

    def _open(self) -> ESAPI:
        from tpm2_pytss import ESAPI

        if self._context is None:
            self._context = ESAPI(self._tcti)
        return self._context

    def _give_up(self) -> None:
        try:
            self.close()
        except (_tss_error(), RuntimeError) as error:
            log.info("tpm_not_closed", why=str(error))

    def _handle(self, tpm: ESAPI, wrapped: bytes) -> Any:
        if self._loaded is None or self._loaded[0] != wrapped:
            self.unload()
            self._loaded = (wrapped, _key(wrapped).load(tpm))
        return self._loaded[1]


def _key(wrapped: bytes) -> Any:
    from tpm2_pytss.tsskey import TSSPrivKey

    try:
        return TSSPrivKey.from_pem(wrapped)
    except (ValueError, TypeError, InvalidKey, UnsupportedAlgorithm, _tss_error()) as error:
        raise KeyFileUnreadable(f"it holds no key wrapped by a TPM: {error}; restore the file") from error


def _primary(tpm: ESAPI) -> Any:
    """The storage primary key: the same that TSSPrivKey uses, so that both kinds of blobs have one parent."""
    from tpm2_pytss import TPM2B_PUBLIC
    from tpm2_pytss.tsskey import _parent_ecc_template

    handle, *_ = tpm.create_primary(None, TPM2B_PUBLIC(publicArea=_parent_ecc_template))
    return handle


def _session(tpm: ESAPI, key: Any, *, to_tpm: bool) -> Any:
    """An HMAC session salted for `key`, under which the secret is encrypted to the TPM or from it."""
    from tpm2_pytss import ESYS_TR, TPM2_ALG, TPM2_SE, TPMA_SESSION, TPMT_SYM_DEF

    cipher = TPMT_SYM_DEF(algorithm=TPM2_ALG.AES)
    cipher.keyBits.aes, cipher.mode.aes = 128, TPM2_ALG.CFB
    session = tpm.start_auth_session(key, ESYS_TR.NONE, TPM2_SE.HMAC, cipher, TPM2_ALG.SHA256)
    direction = TPMA_SESSION.DECRYPT if to_tpm else TPMA_SESSION.ENCRYPT  # named from the TPM's side
    tpm.trsess_set_attributes(session, direction | TPMA_SESSION.CONTINUESESSION)
    return session


def _tss_error() -> type[Exception]:
    from tpm2_pytss import TSS2_Exception

    error: type[Exception] = TSS2_Exception
    return error
