"""Public file links: tokens that say which file, and bytes made when somebody asks for them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache

LINK = "https://app.stelorder.com/app/ControladorPublico?token="
FOREIGN_LINK = "https://files.example.net/x.jpg"
BIG_FILE = 1_500_000
# The smallest grey baseline JPEG: tables of one symbol each and one 8x8 block.
_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////"
    "////////////////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z"
)


@dataclass(frozen=True, slots=True)
class PublicFile:
    """What a token stands for: a rendering of one record, or its n-th picture."""

    kind: str  # pdf, png, jpg
    collection: str
    ident: int
    slot: int = 0

    @property
    def content_type(self) -> str:
        """The media type the service answers with."""
        return {"pdf": "application/pdf", "png": "image/png", "jpg": "image/jpeg"}[self.kind]

    @property
    def name(self) -> str:
        """A file name for Content-Disposition."""
        return f"{self.collection}-{self.ident}-{self.slot}.{self.kind}"


@lru_cache(maxsize=4096)
def _seal(payload: str, seed: int, token_round: str) -> str:
    return hashlib.blake2s(f"{seed}/{token_round}/{payload}".encode(), digest_size=9).hexdigest()


def link_to(file: PublicFile, seed: int, token_round: str) -> str:
    """The public address of a file; it dies when the round of tokens changes."""
    payload = f"{file.kind}.{file.collection}.{file.ident}.{file.slot}"
    sealed = f"{payload}.{_seal(payload, seed, token_round)}"
    return LINK + base64.urlsafe_b64encode(sealed.encode()).decode().rstrip("=")


def read_token(token: str, seed: int, token_round: str) -> PublicFile | None:
    """The file behind a token; None when it is forged, cut or of an earlier round."""
    try:
        sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
        payload, seal = sealed.rsplit(".", 1)
        kind, collection, ident, slot = payload.split(".")
        found = PublicFile(kind, collection, int(ident), int(slot))
    except (ValueError, binascii.Error):
        return None
    return (
        found
        if seal == _seal(payload, seed, token_round) and kind in ("pdf", "png", "jpg")
        else None
    )


def content(file: PublicFile) -> bytes:
    """The bytes of a file, the same on every call."""
    label = f"{file.collection} {file.ident} {file.slot}"
    if file.kind == "png":
        return _png(zlib.crc32(label.encode()))
    if file.kind == "jpg":
        comment = label.encode()
        return _JPEG[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + _JPEG[2:]
    return _pdf(label, BIG_FILE if file.collection == "entityAttachments" and file.slot == 1 else 0)


def _png(colour: int) -> bytes:
    """A square of one colour, 16 by 16."""
    row = b"\0" + struct.pack(">I", colour)[:3] * 16
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * 16)),
        (b"IEND", b""),
    )
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _pdf(label: str, at_least: int) -> bytes:
    """One page with one line of text; a comment pads it where a big file is wanted."""
    text = f"BT /F1 18 Tf 72 720 Td ({label}) Tj ET".encode("latin-1", "replace")
    bodies = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Font << /F1 5 0 R >> >>",
    )
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    if at_least:
        out += b"%" + (b"0123456789abcdef" * (at_least // 16 + 1))[:at_least] + b"\n"
    for number, body in enumerate(bodies, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 7\n0000000000 65535 f \n" + b"".join(
        b"%010d 00000 n \n" % offset for offset in offsets
    )
    return bytes(out + b"trailer\n<< /Size 7 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start)
