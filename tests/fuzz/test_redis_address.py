"""A REDIS_URL is usable or refused with what was expected, and no message shows its password."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producer.redis_address import check_redis_url, connection_options, parse_address, public_redis_url
from tests.fuzz.strange import TEXT

SECRET = "hunter2hunter2"  # noqa: S105  invented
PARTS = TEXT | st.sampled_from(
    [
        "redis://", "rediss://", "redis+sentinel://", "unix://", "/0", "/1", ":6379", ":0", ":99999", "@", ",", "[::1]",
        "%00", "?db=0", "&socket_timeout=nan", "&ssl_keyfile=x", "&health_check_interval=1e9", "&protocol=3",
        "&password=", "#f",
    ]
)  # fmt: skip
URLS = st.lists(PARTS, max_size=6).map("".join)


@given(URLS | URLS.map(lambda rest: f"redis://{rest}"))
def test_an_address_is_usable_or_refused(url: str):
    try:
        check_redis_url(url)
    except ValueError as error:
        assert str(error)
        return

    address = parse_address(url)
    assert address.path or all(host and 1 <= port <= 65_535 for host, port in address.hosts)
    assert isinstance(connection_options(address), dict)


@given(st.lists(PARTS, max_size=3).map("".join), st.lists(PARTS, max_size=3).map("".join))
def test_no_message_shows_the_password(before: str, after: str):
    url = f"redis://user{before}:{SECRET}@{after}"

    assert SECRET not in public_redis_url(url)
    try:
        address = parse_address(url)
    except ValueError as error:
        assert SECRET not in str(error)
    else:
        assert SECRET not in repr(address)
