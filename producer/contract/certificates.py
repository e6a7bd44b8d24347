"""Certificates of private authorities, for staging: checks the text, and builds a context that trusts them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ssl import SSLContext

MAX_CHARS: Final = 65_536
"""Maximum size, some forty certificates, as each page's job contains them."""
_BLOCK: Final = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


def check_certificates(text: str) -> str:
    """Return the certificates of a PEM text, without other contents, such as a key.

    Raises ``ValueError`` for a text without certificates, a broken certificate, or more than ``MAX_CHARS``.
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
        msg = f"{len(whole):,} characters of certificates: expected at most {MAX_CHARS:,}; give only your authority's"
        raise ValueError(msg)
    return whole


def trusting(certificates: str) -> SSLContext:
    """Return a context that trusts this machine's authorities and ``certificates``."""
    import ssl  # noqa: PLC0415  slow, and few requests have certificates

    context = ssl.create_default_context()
    context.load_verify_locations(cadata=certificates)
    # Home-made authorities seldom have all extensions required by RFC 5280; an intermediate one may be the anchor.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
