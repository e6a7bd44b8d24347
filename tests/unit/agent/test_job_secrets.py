from __future__ import annotations

import pytest

from producer.client.submission import prepare
from producer.errors import InvalidJob
from worker.agent.job_secrets import parse_secrets


def test_secrets_arrive_as_the_client_writes_them():
    given = {
        "headers": {"Authorization": "Bearer t0ken"},
        "cookies": [{"name": "sid", "value": "1"}],
        "storage_state": {"origins": []},
    }
    job = prepare("scan", {"url": "https://shop.example/"}, secrets=given)
    fields = {name.encode(): value.encode() for name, value in zip(job.secrets[::2], job.secrets[1::2], strict=True)}

    read = parse_secrets(fields)

    assert (dict(read.headers), list(read.cookies), dict(read.storage_state)) == tuple(given.values())


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({b"headers": b'["s3cret"]'}, "headers"),
        ({b"headers": b'{"Authorization": 7}', b"cookies": b'"s3cret"'}, "cookies, headers"),
        ({b"password": b'"s3cret"'}, "password"),
        ({b"headers": b"s3cret"}, "headers"),
        ({b"cookies": b"\xff\xfe"}, "cookies"),
    ],
)
def test_secrets_that_cannot_be_used_are_named_and_never_shown(fields: dict[bytes, bytes], named: str):
    with pytest.raises(InvalidJob, match=named) as raised:
        parse_secrets(fields)

    assert "s3cret" not in str(raised.value)
