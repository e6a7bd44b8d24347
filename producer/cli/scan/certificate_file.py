"""``--ca FILE``: read with the options, so that a wrong file is refused before anything is queued."""

from __future__ import annotations

import click

from producer.errors import InputError


def read_certificates(_context: click.Context, _option: click.Parameter, file: str | None) -> str | None:
    """Return the certificates in a file; raises ``InputError`` for one without any."""
    if file is None:
        return None
    from producer.contract.certificates import check_certificates
    from producer.text_file import NotText, read_text

    try:
        return check_certificates(read_text(file))
    except NotText:
        hint = f"openssl x509 -inform der -in {file} -out ca.pem"
        raise InputError(f"--ca {file!r} is not text: expected PEM; convert a DER file with {hint!r}") from None
    except OSError as error:
        raise InputError(f"--ca: cannot read {file!r}: {error.strerror}; expected a file with certificates") from None
    except ValueError as error:
        raise InputError(f"--ca {file!r}: {error}") from None
