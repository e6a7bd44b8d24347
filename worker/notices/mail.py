"""Sends a notice by mail: SMTP over TLS or STARTTLS, with no fallback to plain text.

The Message-ID is the notice's, so that mail programs can recognize duplicates.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from producer.errors import SettingsError
from worker.notices.settings import NoticeSettings, Smtp, listed, smtp_password
from worker.notices.store import Notice
from worker.notices.text import heading, plain
from worker.notices.webhook import NotSent

STEP_S: Final = 8.0
"""Seconds for each of a dozen replies, so that a mail takes less than its lease."""


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
        try:
            await asyncio.to_thread(self._deliver, self.message(notice))
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else ""
            raise NotSent(f"the mail server answered {error.smtp_code} {said[:200]}".strip()) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            raise NotSent(f"the mail server refused all receivers: {codes}") from None
        except (smtplib.SMTPException, OSError, ValueError, SettingsError) as error:
            raise NotSent(_reason(error)) from None

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

    def _deliver(self, message: EmailMessage) -> None:
        context = ssl.create_default_context()
        smtp = self.smtp
        if smtp.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=STEP_S, context=context)
        else:
            server = smtplib.SMTP(smtp.host, smtp.port, timeout=STEP_S)
        with server:
            if smtp.security == "starttls":
                server.starttls(context=context)
            if smtp.user:
                server.login(smtp.user, smtp_password(self.settings))
            server.send_message(message)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or type(error).__name__}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:200] or type(error).__name__
