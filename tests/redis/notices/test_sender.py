"""Notices reach real receivers: signed, once, retried after a refusal, finally given up; mails with a login."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
import signal
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from redis.asyncio import Redis

from producer.errors import SettingsError
from producer.keys import Keys
from tests.support.child import Child
from tests.support.notice_receivers import WebhookStub, smtp_stub, webhook_stub
from tests.support.queue import until
from tests.support.site import AUTHORITY, VOUCHED
from worker.__main__ import refuse_webhook
from worker.notices.mail import MAIL_S
from worker.notices.sender import LONGEST_PAUSE_S, TRIES, NoticeSender, open_sender, pause_after, sending
from worker.notices.store import LEASE_MS, Notice, NoticeStore
from worker.notices.text import lines
from worker.notices.webhook import Webhook
from worker.settings import WorkerSettings
from worker.telemetry import in_background

SECRET = "k3y of the test"  # noqa: S105  of nobody
EVENT = {
    "event": "scan.regressed",
    "url": "https://shop.example/<!channel>",
    "critical": 2,
    "components": [{"name": "Header › @all logo", "issue_id": "4a1f4a1f4a1f4a1f-00c0ffee"}],
}


def sender_of(redis: Redis, keys: Keys, **settings: Any) -> NoticeSender:
    found = WorkerSettings.from_env({name.upper(): str(value) for name, value in settings.items()})
    sender = open_sender(found, redis, keys, refuse_webhook(found))
    assert sender
    return sender


async def add(redis: Redis, keys: Keys, event: Mapping[str, Any] = EVENT) -> str:
    line = json.dumps({"v": 1, **event})
    return cast("bytes", await cast("Any", redis).xadd(keys.events, {"event": line})).decode()


async def make_due(redis: Redis, keys: Keys) -> None:
    raw = cast("Any", redis)
    for name in await raw.zrange(keys.notices_due, 0, -1):
        await raw.zadd(keys.notices_due, {name: 1})


@pytest.fixture
async def hook() -> AsyncGenerator[WebhookStub]:
    async with webhook_stub() as stub:
        yield stub


def hooked(redis: Redis, keys: Keys, hook: WebhookStub, **settings: Any) -> NoticeSender:
    return sender_of(redis, keys, **{"notify_webhooks": hook.url, "notify_allow_hosts": "127.0.0.1", **settings})


async def test_a_notice_is_posted_once_and_signed(redis: Redis, keys: Keys, hook: WebhookStub) -> None:
    sender = hooked(redis, keys, hook, notify_secret=SECRET)
    await sender.look()
    event_id = await add(redis, keys)

    await sender.look()
    await sender.look()

    [(headers, body)] = hook.came
    documented: dict[str, Any] = {}
    page = (Path(__file__).parents[3] / "docs/trackers.md").read_text()
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], documented)  # noqa: S102  our own page
    assert documented["is_ours"](SECRET, headers, body)
    assert not documented["is_ours"](SECRET, headers, body + b" ")
    about = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    expected = base64.b64encode(hmac.new(SECRET.encode(), about, sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-id"] == event_id
    read = json.loads(body)
    assert (read["event"], read["count"], read["events"][0]["url"]) == ("scan.regressed", 1, EVENT["url"])
    assert "&lt;!channel&gt;" in read["text"]
    assert "@all" not in read["text"]
    assert (sender.state.waiting, sender.told) == (0, "")


async def test_slack_gets_its_form_alone(redis: Redis, keys: Keys, hook: WebhookStub) -> None:
    sender = hooked(redis, keys, hook, notify_webhooks=f"slack+{hook.url}")
    await sender.look()
    await add(redis, keys)
    await sender.look()

    assert list(json.loads(hook.came[0][1])) == ["text"]


async def test_a_refused_notice_is_sent_again_with_the_same_id_and_one_nobody_takes_is_given_up(
    redis: Redis, keys: Keys
) -> None:
    async with webhook_stub(lambda _: "503 busy\r\nRetry-After: 120") as hook:
        sender = hooked(redis, keys, hook)
        await sender.look()
        await add(redis, keys)
        with structlog.testing.capture_logs() as logs:
            for _ in range(TRIES + 2):
                await sender.look()
                await make_due(redis, keys)

    assert len(hook.came) == TRIES
    assert len({headers["webhook-id"] for headers, _ in hook.came}) == 1
    events = [one["event"] for one in logs]
    assert events == ["notice.retried"] * (TRIES - 1) + ["notice.given_up"]
    assert logs[0]["pause_s"] == 120
    assert "1 given up within a week, the last one: webhook:" in sender.told
    assert "it answered 503" in sender.told
    assert "s3cret" not in str(logs) + sender.told


async def test_a_receiver_that_is_gone_holds_up_no_other(redis: Redis, keys: Keys, hook: WebhookStub) -> None:
    sender = hooked(redis, keys, hook, notify_webhooks=f"http://127.0.0.1:1/,{hook.url}")
    await sender.look()
    await add(redis, keys)
    with structlog.testing.capture_logs() as logs:
        await sender.look()

    assert len(hook.came) == 1
    assert [(one["event"], one.get("why")) for one in logs if one["event"] == "notice.retried"] == [
        ("notice.retried", "Connect call failed ('127.0.0.1', 1)")
    ]
    assert sender.told == "1 waiting"


@pytest.mark.parametrize(
    ("allowed", "url", "why"),
    [
        ("", "{url}", "rule 'loopback'; to permit a private host"),
        ("localhost:1", "{url}", "rule 'loopback'; to permit a private host"),
        ("169.254.0.0/16", "http://169.254.169.254/latest", "rule 'metadata'"),
        ("", "http://[::ffff:10.0.0.1]/", "rule 'private'"),
    ],
)
async def test_a_webhook_reaches_no_private_address_unless_it_is_allowed(
    redis: Redis, keys: Keys, hook: WebhookStub, allowed: str, url: str, why: str
) -> None:
    sender = hooked(redis, keys, hook, notify_webhooks=url.format(url=hook.url), notify_allow_hosts=allowed)
    await sender.look()
    await add(redis, keys)
    with structlog.testing.capture_logs() as logs:
        await sender.look()

    assert hook.came == []
    assert why in logs[0]["why"]


async def test_an_address_that_does_not_answer_leaves_time_for_the_next(
    redis: Redis, keys: Keys, hook: WebhookStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.notices.webhook.CONNECT_S", 0.3)
    port = int(hook.url.split(":")[2].partition("/")[0])
    silent = socket.create_server(("127.0.0.2", port), backlog=0)
    fills = [socket.socket() for _ in range(3)]
    for one in fills:  # Linux drops what comes once the backlog is full
        one.settimeout(0)
        one.connect_ex(("127.0.0.2", port))

    async def both(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where, port)) for where in ("127.0.0.2", "127.0.0.1")]

    sender = hooked(redis, keys, hook, notify_allow_hosts="127.0.0.0/8")
    await sender.look()
    await add(redis, keys)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    async with asyncio.timeout(15):
        await sender.look()
    for one in (silent, *fills):
        one.close()

    assert len(hook.came) == 1


async def test_a_receiver_that_accepts_no_connection_is_said_to(
    redis: Redis, keys: Keys, hook: WebhookStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.notices.webhook.CONNECT_S", 0.3)
    silent = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = silent.getsockname()[1]
    fills = [socket.socket() for _ in range(3)]
    for one in fills:  # Linux drops what comes once the backlog is full
        one.settimeout(0)
        one.connect_ex(("127.0.0.1", port))
    sender = hooked(redis, keys, hook, notify_webhooks=f"http://127.0.0.1:{port}/", notify_allow_hosts="127.0.0.1")
    await sender.look()
    await add(redis, keys)

    with structlog.testing.capture_logs() as logs:
        await sender.look()
    for one in (silent, *fills):
        one.close()

    assert logs[0]["why"] == "127.0.0.1 accepted no connection within 0.3 s"


async def test_a_redirect_is_followed_nowhere(redis: Redis, keys: Keys, hook: WebhookStub) -> None:
    async with webhook_stub(lambda _: f"307 there\r\nLocation: {hook.url}") as first:
        sender = hooked(redis, keys, first)
        await sender.look()
        await add(redis, keys)
        await sender.look()

    assert (len(first.came), hook.came) == (1, [])


async def test_a_worker_killed_while_it_sends_loses_no_notice(
    redis: Redis, keys: Keys, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = {1}
    async with webhook_stub(lambda number: "" if number in silent else "204 No Content") as hook:
        for name, value in {
            "REDIS_URL": redis_url,
            "ENVIRONMENT": keys.environment,
            "NOTIFY_WEBHOOKS": hook.url,
            "NOTIFY_ALLOW_HOSTS": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        sender = hooked(redis, keys, hook)
        await sender.look()
        event_id = await add(redis, keys)
        async with Child("tests.support.notice_program") as child:
            async with asyncio.timeout(60):
                await hook.arrived.wait()
            child.process.send_signal(signal.SIGKILL)
            await child.end()
        raw = cast("Any", redis)
        [name] = await raw.zrange(keys.notices_due, 0, -1)
        await sender.look()
        assert len(hook.came) == 1, "its lease was not waited for"

        await raw.zincrby(keys.notices_due, -LEASE_MS - 1, name)
        await sender.look()

    assert [headers["webhook-id"] for headers, _ in hook.came] == [event_id, event_id]
    assert await raw.hgetall(keys.notices_open) == {}


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(VOUCHED)
    return context


MAIL = {"notify_mail_to": "team@shop.example,anna@shop.example", "notify_mail_from": "sightline@shop.example"}


async def test_a_mail_is_sent_encrypted_with_a_login(
    redis: Redis, keys: Keys, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    (tmp_path / "password").write_text("pa$$ word\n")
    async with smtp_stub(tls=server_tls()) as smtp:
        url = f"smtp://anna%40shop@localhost:{smtp.port}"
        sender = sender_of(redis, keys, **MAIL, smtp_url=url, smtp_password_file=tmp_path / "password")
        await sender.look()
        event_id = await add(redis, keys, {**EVENT, "url": "https://shop.example/\r\nBcc: x@evil.example"})
        await sender.look()

    assert smtp.logins == ["\0anna@shop\0pa$$ word"]
    assert smtp.said[:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]
    [mail] = smtp.mails
    head, _, text = mail.partition("\r\n\r\n")
    assert f"Message-ID: <sightline.dev.{event_id}@shop.example>" in head
    assert "Subject: Sightline (dev): 1 page got worse" in head
    assert "\nBcc:" not in mail
    assert "2 critical" in text
    assert sender.told == ""


@pytest.mark.parametrize(
    ("tls", "refuse", "why"),
    [(False, "", "STARTTLS"), (True, "451 greylisted", "the mail server answered 451 greylisted")],
)
async def test_a_mail_that_cannot_be_sent_is_tried_again(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch, tls: bool, refuse: str, why: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    async with smtp_stub(tls=server_tls() if tls else None, refuse=refuse) as smtp:
        sender = sender_of(redis, keys, **MAIL, smtp_url=f"smtp://localhost:{smtp.port}")
        await sender.look()
        await add(redis, keys)
        with structlog.testing.capture_logs() as logs:
            await sender.look()

    assert smtp.mails == []
    assert why in logs[0]["why"]
    assert sender.told == "1 waiting"


@pytest.mark.parametrize("last", ["421 too late", "250 bye", ""])
async def test_a_mail_that_was_accepted_is_not_sent_again_whatever_is_said_at_the_end(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    monkeypatch.setattr("worker.notices.mail.STEP_S", 0.3)
    async with smtp_stub(tls=None, answers={"QUIT": last}) as smtp:
        sender = sender_of(redis, keys, **MAIL, smtp_url=f"smtp+plain://localhost:{smtp.port}")
        await sender.look()
        await add(redis, keys)
        await sender.look()

    assert (len(smtp.mails), sender.told) == (1, "")


async def test_a_mail_that_some_receivers_are_refused_says_so(redis: Redis, keys: Keys) -> None:
    async with smtp_stub(tls=None, answers={"rcpt TO:<anna@shop.example>": "550 no such user"}) as smtp:
        sender = sender_of(redis, keys, **MAIL, smtp_url=f"smtp+plain://localhost:{smtp.port}")
        await sender.look()
        await add(redis, keys)
        with structlog.testing.capture_logs() as logs:
            await sender.look()

    assert len(smtp.mails) == 1
    [(receivers, codes)] = [(one["receivers"], one["codes"]) for one in logs if one["event"].endswith("refused")]
    assert (receivers, codes) == (1, [550])


async def test_slow_mail_servers_keep_no_mail_longer_than_its_lease(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.notices.mail.MAIL_S", 0.5)
    async with smtp_stub(tls=None, answers={"DATA": ""}) as smtp:
        sender = sender_of(redis, keys, **MAIL, smtp_url=f"smtp+plain://localhost:{smtp.port}")
        await sender.look()
        for kind in ("scan.regressed", "batch.finished", "job.dead", "job.rejected"):
            await add(redis, keys, {"event": kind})
        began = time.monotonic()
        with structlog.testing.capture_logs() as logs:
            await sender.look()
        took_s = time.monotonic() - began
        async with asyncio.timeout(5):  # the threads have ended: another one is free
            await asyncio.gather(*(asyncio.to_thread(str) for _ in range(40)))

    assert [one["why"] for one in logs] == ["the mail was not accepted within 0.5 s"] * 4
    assert took_s < 5
    assert MAIL_S * 1000 < LEASE_MS


async def test_the_loop_sends_what_comes_and_ends_when_it_is_cancelled(
    redis: Redis, keys: Keys, hook: WebhookStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.notices.sender.LOOK_EVERY_S", 0.05)
    sender = hooked(redis, keys, hook)
    running = asyncio.create_task(sender.run())

    async def has_begun() -> bool:
        return bool(await cast("Any", redis).hexists(keys.notices, "cursor"))

    await until(has_begun, what="a sending that has begun")
    await add(redis, keys)
    async with asyncio.timeout(60):
        await hook.arrived.wait()
    running.cancel()
    await asyncio.wait([running], timeout=60)

    assert len(hook.came) == 1
    assert running.cancelled()


async def test_an_unforeseen_error_ends_one_round_and_not_the_loop(
    redis: Redis, keys: Keys, hook: WebhookStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.notices.sender.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("worker.notices.sender.in_background", partial(in_background, again_s=0.05))
    sender = hooked(redis, keys, hook)
    await sender.look()
    await add(redis, keys)
    look, rounds = sender.look, 0

    async def fails_first() -> bool:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise AttributeError("an event of another release")
        return await look()

    monkeypatch.setattr(sender, "look", fails_first)
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(60), sending(sender):
            await hook.arrived.wait()

    assert len(hook.came) == 1
    assert {"AttributeError: an event of another release"} == {one["error"] for one in logs if "error" in one}


def test_pauses_grow_and_a_receiver_may_ask_for_a_longer_one() -> None:
    pauses = [pause_after(claim, again_s=None, chance=1.0) for claim in range(1, TRIES)]

    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (10.0, LONGEST_PAUSE_S)
    assert 4 * 3600 < sum(pauses) < 6 * 3600
    assert pause_after(1, again_s=300.0, chance=0.0) == 300.0
    assert pause_after(1, again_s=9e9, chance=0.0) == LONGEST_PAUSE_S


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"NOTIFY_WEBHOOKS": "https://ok.example/,ftp://s3cret.example/"}, "NOTIFY_WEBHOOKS: number 2"),
        ({"NOTIFY_WEBHOOKS": "https://u:s3cret@x.example/"}, "NOTIFY_WEBHOOKS: number 1"),
        ({"NOTIFY_EVENTS": "scan.regresed"}, "'scan.regresed' is not an event for notices"),
        ({"NOTIFY_MAIL_TO": "team@shop.example"}, "NOTIFY_MAIL_TO and SMTP_URL go together"),
        ({"NOTIFY_MAIL_TO": "team"}, "'team' is not a mail address"),
        ({"NOTIFY_MAIL_TO": "a@["}, "'a@[' is not a mail address"),
        ({"SMTP_URL": "smtp://u:s3cret@host"}, "it contains a password"),
        ({"SMTP_URL": "smtp+plain://u@host"}, "a login needs encryption"),
        ({"SMTP_URL": "smtp://u@host", "NOTIFY_MAIL_TO": "a@b.example"}, "set SMTP_PASSWORD or SMTP_PASSWORD_FILE"),
        ({"NOTIFY_SECRET": "s3cret", "NOTIFY_SECRET_FILE": "x"}, "NOTIFY_SECRET and NOTIFY_SECRET_FILE are both set"),
    ],
)
async def test_wrong_settings_are_named_and_no_secret_is_shown(
    redis: Redis, keys: Keys, settings: dict[str, str], said: str
) -> None:
    def opened() -> object:
        found = WorkerSettings.from_env(settings)
        return open_sender(found, redis, keys, refuse_webhook(found))

    with pytest.raises(SettingsError) as error:
        opened()

    assert said in str(error.value)
    assert "s3cret" not in str(error.value)


async def test_without_receivers_events_are_not_read(redis: Redis, keys: Keys) -> None:
    settings = WorkerSettings.from_env({"NOTIFY_SECRET": SECRET})

    assert open_sender(settings, redis, keys, refuse_webhook(settings)) is None
    assert SECRET not in repr(settings)


async def test_a_bug_in_one_notice_stops_neither_the_others_nor_its_own_retries(
    redis: Redis, keys: Keys, hook: WebhookStub
) -> None:
    class Broken:
        channel = "broken"

        async def send(self, notice: Notice) -> None:
            raise AttributeError(f"no attribute of {notice.event}")

    def allowed(host: str, port: int, address: str) -> None:
        del host, port, address

    webhook = Webhook(hook.url, "", "dev", allowed)
    store = NoticeStore(redis, keys, channels=["broken", webhook.channel], kinds=["scan.regressed"])
    sender = NoticeSender(store, [Broken(), webhook])
    await sender.look()
    await add(redis, keys)

    with structlog.testing.capture_logs() as logs:
        await sender.look()

    assert len(hook.came) == 1
    assert sender.told == "1 waiting"
    [said] = [one for one in logs if one["event"] == "notice.retried"]
    assert said["why"] == "internal error: AttributeError"


def test_a_batch_without_jobs_has_a_whole_line() -> None:
    event = {"event": "batch.finished", "batch": "empty", "total": 0, "succeeded": 0}

    assert list(lines(Notice("1-1/mail", "mail", "1-1", "batch.finished", 1, (event,), 1))) == ["batch empty: no jobs"]
