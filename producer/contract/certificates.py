"""Certificates of private authorities, for staging: whether a text holds some, and who trusts them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ssl import SSLContext

MAX_CHARS: Final = 65_536
"""Some forty certificates: each page's job carries them."""
_BLOCK: Final = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


def check_certificates(text: str) -> str:
    """Return the certificates of a PEM text, and nothing else that is in it, such as a key.

    Raises ``ValueError`` for a text without any, for one that is broken, and for more than ``MAX_CHARS``.
    """
    blocks = ["\n".join(filter(None, map(str.strip, block.splitlines()))) for block in _BLOCK.findall(text)]
    if not blocks:
        raise ValueError("no certificate: expected PEM text with '-----BEGIN CERTIFICATE-----'")
    import ssl  # noqa: PLC0415  slow, and few requests have certificates

    for number, block in enumerate(blocks, 1):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=block)
        except (ValueError, OSError):  # not base64, not a certificate
            which = f"certificate {number} of {len(blocks)}" if len(blocks) > 1 else "the certificate"
            raise ValueError(f"{which} is broken: expected PEM text of an X.509 certificate") from None
    whole = "\n".join([*blocks, ""])
    if len(whole) > MAX_CHARS:
        msg = f"{len(whole):,} characters of certificates: expected at most {MAX_CHARS:,}; give your authority's alone"
        raise ValueError(msg)
    return whole


def trusting(certificates: str) -> SSLContext:
    """Return a context that verifies servers by this machine's authorities and by ``certificates``."""
    import ssl  # noqa: PLC0415  slow, and few requests have certificates

    context = ssl.create_default_context()
    context.load_verify_locations(cadata=certificates)
    # An authority made by hand seldom has all the extensions that RFC 5280 asks for; one below another's root may do.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
