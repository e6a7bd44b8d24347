"""Sends a notice by mail: SMTP over TLS or STARTTLS, with no fallback to plain text.

The Message-ID is the notice's, so that mail programs can recognize duplicates.
"""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

import structlog

from producer.errors import SettingsError
from worker.notices.settings import NoticeSettings, Smtp, listed, smtp_password
from worker.notices.store import Notice
from worker.notices.text import heading, plain
from worker.notices.webhook import NotSent

STEP_S: Final = 8.0
"""Seconds for each reply of the server."""
MAIL_S: Final = 120.0
"""Seconds for a mail, including the wait for a thread: less than its lease, or another worker would send it too."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Mail:
    """The mail channel of these settings."""

    smtp: Smtp
    settings: NoticeSettings = field(repr=False)

    @property
    def channel(self) -> str:
        """Its name."""
        return "mail"

    async def send(self, notice: Notice) -> None:
        """Send the notice; raises ``NotSent``."""
        servers, is_over = list[smtplib.SMTP](), threading.Event()
        try:
            async with asyncio.timeout(MAIL_S):
                refused = await asyncio.to_thread(self._deliver, self.message(notice), servers, is_over)
        except TimeoutError as error:
            raise NotSent(_reason(error) if error.args else f"the mail was not accepted within {MAIL_S:g} s") from None
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else ""
            raise NotSent(f"the mail server answered {error.smtp_code} {said[:200]}".strip()) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            raise NotSent(f"the mail server refused all receivers: {codes}") from None
        except (smtplib.SMTPException, OSError, ValueError, SettingsError) as error:
            raise NotSent(_reason(error)) from None
        finally:
            is_over.set()
            for server in servers:
                with contextlib.suppress(OSError):
                    if server.sock is not None:
                        server.sock.shutdown(socket.SHUT_RDWR)  # ends a thread that still waits for the server
        if refused:
            codes = sorted({code for code, _ in refused.values()})
            log.warning("notice.receivers_refused", notice=notice.name, receivers=len(refused), codes=codes)

    def message(self, notice: Notice) -> EmailMessage:
        """Return the mail."""
        environment, to = self.settings.environment, listed(self.settings.notify_mail_to)
        sender = self.settings.notify_mail_from or to[0]
        message = EmailMessage()
        message["Subject"] = heading(notice, environment=environment)
        message["From"] = sender
        message["To"] = ", ".join(to)
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<sightline.{environment}.{notice.notice_id}@{sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic replies
        message.set_content(plain(notice, environment=environment))
        return message

    def _deliver(
        self, message: EmailMessage, servers: list[smtplib.SMTP], is_over: threading.Event
    ) -> dict[str, tuple[int, bytes]]:
        """Send the mail; returns the refused receivers if others were accepted. Adds the server to ``servers``."""
        context = ssl.create_default_context()
        smtp = self.smtp
        if smtp.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=STEP_S, context=context)
        else:
            server = smtplib.SMTP(smtp.host, smtp.port, timeout=STEP_S)
        servers.append(server)
        try:
            if is_over.is_set():
                raise OSError("the connection came too late")
            if smtp.security == "starttls":
                server.starttls(context=context)
            if smtp.user:
                server.login(smtp.user, smtp_password(self.settings))
            refused = server.send_message(message)
            with contextlib.suppress(smtplib.SMTPException, OSError):  # the mail was accepted, whatever QUIT returns
                server.quit()
            return refused
        finally:
            server.close()


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or type(error).__name__}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:200] or type(error).__name__
