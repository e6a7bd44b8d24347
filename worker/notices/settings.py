"""The settings of notices, some of which are read from files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Annotated, Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from producer.contract.addresses import origin_of
from producer.errors import SettingsError
from producer.settings import ClientSettings
from producer.text_file import read_text

_NONE: Final = SecretStr("")
KINDS: Final = ("scan.regressed", "batch.finished", "job.dead", "job.rejected")
SLACK: Final = "slack+"
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,254}")
"""Addresses of RFC 5321 without quoted parts and literals, which Python's header parser mishandles; domains as in
DNS."""
_HOST: Final = re.compile(r"(\*\.)?[^\s/*]+")
_PORTS: Final = {"smtp": 587, "smtps": 465, "smtp+plain": 25}
MOST_RECEIVERS: Final = 20


def _check_kinds(text: str) -> None:
    unknown = [kind for kind in listed(text) if kind not in KINDS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not an event for notices: expected some of {', '.join(KINDS)}")


def _check_mail(text: str) -> None:
    for address in listed(text):
        if not _ADDRESS.fullmatch(address):
            raise ValueError(
                f"{address!r} is not a mail address: expected addresses such as team@example.org, comma-separated"
            )
    if len(listed(text)) > MOST_RECEIVERS:
        raise ValueError(f"{len(listed(text))} addresses: expected at most {MOST_RECEIVERS}; use a mailing list")


def check_hosts(text: str) -> None:
    """Raise ``ValueError`` for an entry that matches no host, such as an address of a page."""
    for entry in listed(text):
        if _HOST.fullmatch(entry):
            continue
        try:
            ip_network(entry, strict=False)
        except ValueError:
            raise ValueError(
                f"{entry!r} is not a host: expected intranet.example, *.intranet.example, localhost:3000 or a network "
                f"such as 10.1.0.0/16"
            ) from None


def _check_smtp(text: str) -> None:
    if text:
        _smtp(text)


@dataclass(frozen=True, kw_only=True, repr=False)
class NoticeSettings(ClientSettings):
    """Receivers and events of notices; all workers of an environment should have the same."""

    notify_webhooks: SecretStr = _NONE
    """Addresses that get notices as JSON, comma-separated; ``slack+https://…`` gets Slack's form. Whoever knows such
    an address can post there, so it is a secret."""

    notify_webhooks_file: str = ""
    """File with the addresses, one per line, instead of NOTIFY_WEBHOOKS."""

    notify_secret: SecretStr = _NONE
    """Key that signs notices (HMAC-SHA256), in any characters, or ``whsec_`` and base64; empty: unsigned."""

    notify_secret_file: str = ""
    """File with the key, instead of NOTIFY_SECRET."""

    notify_events: Annotated[str, _check_kinds] = ",".join(KINDS)
    """Events that are notices: some of ``scan.regressed``, ``batch.finished``, ``job.dead``, ``job.rejected``."""

    notify_allow_hosts: Annotated[str, check_hosts] = ""
    """Hosts of webhooks that may be at private addresses: ``*.intranet.example``, ``10.1.0.0/16``, ``localhost:8065``.

    All others are refused there, since only this machine may be able to reach such an address.
    """

    notify_mail_to: Annotated[str, _check_mail] = ""
    """Mail addresses that get notices, comma-separated; needs SMTP_URL."""

    notify_mail_from: Annotated[str, _check_mail] = ""
    """The sender's mail address; empty: the first of NOTIFY_MAIL_TO."""

    smtp_url: Annotated[str, _check_smtp] = ""
    """The mail server: ``smtp://user@mail.example.org`` (587, STARTTLS), ``smtps://…`` (465, TLS), or
    ``smtp+plain://localhost`` (25, without encryption and login)."""

    smtp_password: SecretStr = _NONE
    """Password of SMTP_URL's user; never logged."""

    smtp_password_file: str = ""
    """File with the password, instead of SMTP_PASSWORD; read again for each mail."""


@dataclass(frozen=True, slots=True)
class Smtp:
    """A mail server. ``security`` is ``starttls``, ``tls`` or ``none``."""

    host: str
    port: int
    security: str
    user: str


def listed(text: str) -> list[str]:
    """Return the parts of a comma-separated setting."""
    return [part for one in text.split(",") if (part := one.strip())]


def webhooks_of(settings: NoticeSettings) -> list[str]:
    """Return the webhooks; raises ``SettingsError``, which shows none."""
    text = secret_of("NOTIFY_WEBHOOKS", settings.notify_webhooks, settings.notify_webhooks_file)
    found = listed(text.replace("\n", ","))
    for number, address in enumerate(found, 1):
        url = address.removeprefix(SLACK)
        if not origin_of(url) or "@" in urlsplit(url).netloc or not re.fullmatch(r"[\x21-\x7e]+", url):
            msg = f"NOTIFY_WEBHOOKS: number {number} is not an http or https address without user info"
            raise SettingsError(msg)
    return list(dict.fromkeys(found))


def smtp_of(settings: NoticeSettings) -> Smtp | None:
    """Return the mail server, or None without mail; raises ``SettingsError`` for incomplete settings."""
    if not settings.notify_mail_to and not settings.smtp_url:
        return None
    if not (settings.notify_mail_to and settings.smtp_url):
        raise SettingsError("NOTIFY_MAIL_TO and SMTP_URL go together: set both, or neither")
    smtp = _smtp(settings.smtp_url)
    if smtp.user and not smtp_password(settings):
        raise SettingsError("SMTP_URL names a user: set SMTP_PASSWORD or SMTP_PASSWORD_FILE")
    return smtp


def smtp_password(settings: NoticeSettings) -> str:
    """Return the password of the mail server's user, '' for none."""
    return secret_of("SMTP_PASSWORD", settings.smtp_password, settings.smtp_password_file)


def secret_of(name: str, value: SecretStr, file: str) -> str:
    """Return a secret of a setting or of its file; raises ``SettingsError``, which never shows it."""
    text = value.get_secret_value()
    if text and file:
        raise SettingsError(f"{name} and {name}_FILE are both set: expected one of them")
    if file:
        try:
            text = read_text(file).strip()
        except OSError as error:
            raise SettingsError(f"{name}_FILE is {file!r}, which cannot be read: {error.strerror}") from None
        if not text:
            raise SettingsError(f"{name}_FILE is {file!r}, which is empty: expected the secret")
    return text


def _smtp(text: str) -> Smtp:
    """Return the parsed SMTP_URL; raises ``ValueError`` without quoting it, since it may contain a password."""
    expected = "expected smtp://user@host, smtps://user@host or smtp+plain://host"
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in _PORTS or not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(expected)
    if parts.password is not None:
        raise ValueError("it contains a password: put that into SMTP_PASSWORD or a file")
    if parts.scheme == "smtp+plain" and parts.username:
        raise ValueError("a login needs encryption: expected smtp:// or smtps:// with a user")
    security = {"smtp": "starttls", "smtps": "tls", "smtp+plain": "none"}[parts.scheme]
    return Smtp(host, port or _PORTS[parts.scheme], security, unquote(parts.username or ""))
