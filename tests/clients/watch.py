"""Stands before the emulator as api.pipedrive.com: an HTTP proxy that also ends TLS, passes everything on and writes down what was asked."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests.proxy import Answer, proxy

UNKNOWN = b'"Unknown method."'
NAMES = "subjectAltName=DNS:pipedrive.com,DNS:*.pipedrive.com"


@dataclass(frozen=True, slots=True)
class Seen:
    """One call of a client, as it was answered."""

    verb: str
    path: str  # without the query
    query: tuple[tuple[str, str], ...]
    status: int
    said: bytes  # the beginning of the body, of a refusal only

    @property
    def unknown(self) -> bool:
        """Whether the emulator does not know the path, or not with this verb."""
        return self.status == 405 or (self.status == 404 and UNKNOWN in self.said)


@dataclass(slots=True)
class Watch:
    """Where it listens, the certificate that clients have to trust, and every call so far."""

    origin: str
    certificate: Path
    calls: list[Seen] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a client come here whatever host of Pipedrive it calls."""
        bundle = str(self.certificate)
        proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), self.origin)
        trusted = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), bundle)
        return {**proxies, **trusted, "NO_PROXY": "", "no_proxy": ""}


@contextmanager
def watch(target: str, folder: Path) -> Iterator[Watch]:
    """Pass on to a server while the block runs; its certificate is made in the folder, by `openssl`."""
    certificate, context = _certificate(folder)
    found = Watch("", certificate)

    def around(verb: str, path: str, forward: Callable[[], Answer]) -> Answer:
        answer, asked = forward(), urlsplit(path)
        said = answer.content[:600] if answer.status >= 400 else b""
        found.calls.append(Seen(verb, asked.path, tuple(parse_qsl(asked.query)), answer.status, said))
        return answer

    with proxy(target, around, context) as found.origin:
        yield found


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    asked = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=api.pipedrive.com", "-addext", NAMES]
    subprocess.run([*asked, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context
