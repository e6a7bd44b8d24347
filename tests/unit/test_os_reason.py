"""Messages about system errors: the reason, without the number and the addresses tried."""

from __future__ import annotations

import socket
import ssl

import pytest

from producer.errors import os_reason


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 6379)"), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "certificate verify failed"),
        (TimeoutError("timed out"), "timed out"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/']"), "no folder for temporary files"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_the_reason_is_in_words(error: OSError, said: str) -> None:
    assert os_reason(error).startswith(said)
