"""A real RFC 3161 authority: `openssl ts` with a root and a signing certificate of its own, served over HTTP."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""
_EXTENSIONS = """
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class TimestampAuthority:
    """Serves time-stamps on a free port; `garbage` has it answer nonsense."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.garbage: bytes | None = None
        self.asked = 0
        self._make_certificates()
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                reply = authority.reply(query)
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    @property
    def ca(self) -> Path:
        """The root certificate."""
        return self.folder / "ca.pem"

    def reply(self, query: bytes) -> bytes:
        """Return the answer of `openssl ts`."""
        self.asked += 1
        if self.garbage is not None:
            return self.garbage
        asked, answer = self.folder / f"{self.asked}.tsq", self.folder / f"{self.asked}.tsr"
        asked.write_bytes(query)
        self._openssl(
            "ts", "-reply", "-config", "tsa.cnf", "-section", "one", "-queryfile", str(asked), "-out", str(answer)
        )
        return answer.read_bytes()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _make_certificates(self) -> None:
        (self.folder / "tsa.cnf").write_text(_CONFIG.format(folder=self.folder))
        (self.folder / "tsa.ext").write_text(_EXTENSIONS)
        (self.folder / "serial").write_text("01\n")
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
        self._openssl(
            "req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Test TSA root"
        )
        self._openssl("req", *curve, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Test TSA")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-days", "20", "-extfile", "tsa.ext", "-out", "tsa.pem")
        self._openssl("x509", "-req", "-in", "tsa.csr", *signing)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60, cwd=self.folder)
