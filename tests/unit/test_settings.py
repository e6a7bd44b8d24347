"""Settings: accepted and refused values, and hidden secrets."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import FrozenInstanceError, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import pytest
from redis.connection import parse_url

from producer.errors import SettingsError
from producer.redis.dial import connection_arguments
from producer.redis_address import public_redis_url
from producer.settings import ClientSettings, Within, misspelt, setting_names, variables_of

SECRET = "s3cret"  # noqa: S105  the password these tests look for


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = ClientSettings.from_env({})

    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert settings.environment == "dev"
    assert settings.backlog_limit == 1_000_000
    assert settings.result_ttl_s == 604_800
    assert settings.memory_limit_share == 0.85


def test_variables_are_read_by_the_fields_upper_case_names() -> None:
    environ = {"REDIS_URL": "rediss://cache.example:6380/0", "ENVIRONMENT": "prod-eu", "BACKLOG_LIMIT": "50"}

    settings = ClientSettings.from_env(environ)

    assert settings.redis_url == "rediss://cache.example:6380/0"
    assert settings.environment == "prod-eu"
    assert settings.backlog_limit == 50


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_variable_counts_as_unset(empty: str) -> None:
    settings = ClientSettings.from_env({"REDIS_URL": empty, "BACKLOG_LIMIT": empty})

    assert settings == ClientSettings()


@pytest.mark.parametrize(
    "url",
    ["redis://h", "redis://h/", "redis://h:1/0", "redis://h?db=0", "unix:///run/redis.sock", "rediss://u:p@h/0"],
)
def test_an_address_of_database_0_is_accepted(url: str) -> None:
    assert ClientSettings.from_env({"REDIS_URL": url}).redis_url == url


def test_an_address_that_asks_for_resp3_is_refused_because_search_is_not_read_in_it() -> None:
    with pytest.raises(SettingsError, match="remove it from the address"):
        ClientSettings.from_env({"REDIS_URL": "redis://h/0?protocol=3"})


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("decode_responses=True", "replies are always read as bytes"),
        ("encoding=latin-1", "keys and payloads are UTF-8"),
        ("encoding_errors=ignore", "must not be written"),
        ("max_connections=2", "expected at least 32: a worker keeps about ten"),
        ("max_connections=many", "expected a whole number"),
        ("socket_timeout=1", "expected at least 15: workers and durable submits wait for Redis for up to 10 s"),
        ("socket_connect_timeout=nan", "expected at least 0.1"),
        ("socket_keepalive=perhaps", "expected true or false"),
        ("decode_response=1", "the option 'decode_response' is unknown: did you mean 'decode_responses'?"),
        ("Socket_Timeout=20", "did you mean 'socket_timeout'?"),
        ("colour=red", "the option 'colour' is unknown; known are client_name, "),
        ("client_name=", "is empty: give it a value, or remove it"),
        ("ssl_ca_certs=/ca.pem", "is for TLS, but the address is not rediss://"),
        ("sentinel_password=x", "the option 'sentinel_password' is unknown"),
    ],
)
def test_an_option_of_the_address_that_would_break_the_client_is_refused_with_why(option: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(expected)):
        ClientSettings.from_env({"REDIS_URL": f"redis://h/0?{option}"})


def test_known_options_of_the_address_reach_the_connection() -> None:
    url = "rediss://u:p%40@h:1/0?socket_connect_timeout=3&client_name=me&ssl_cert_reqs=None&encoding=utf-8&db=0"

    arguments = connection_arguments(ClientSettings(redis_url=url).address)

    assert arguments == {
        "host": "h",
        "port": 1,
        "username": "u",
        "password": "p@",
        "socket_connect_timeout": 3.0,
        "client_name": "me",
        "ssl_cert_reqs": "none",
    }


def test_an_address_over_sentinel_names_sentinels_and_service_and_shows_no_password() -> None:
    url = f"rediss+sentinel://u:{SECRET}@s1:1,[::1],s3:3/main/0?sentinel_username=w&sentinel_password={SECRET}"

    settings = ClientSettings(redis_url=url)

    assert settings.address.hosts == (("s1", 1), ("::1", 26379), ("s3", 3))
    assert (settings.address.service, settings.address.is_tls) == ("main", True)
    assert settings.address.sentinel_options == {"username": "w", "password": SECRET}
    assert settings.address.options == {"username": "u", "password": SECRET}
    assert settings.public_redis_url == "rediss+sentinel://s1:1,[::1],s3:3/main/0"
    assert SECRET not in f"{settings!r} {settings.address!r}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis+sentinel://s1:1,s2:2", "the name of the service behind the Sentinels"),
        ("redis+sentinel://s1/main/1", "search works on database 0 only"),
        ("redis+sentinel://s1,,s2/main", "expected an address such as"),
        ("redis+cluster://s1/main", "expected an address such as"),
        ("redis://h1,h2/0", "expected an address such as"),
        ("redis://a..b:6379", "'a..b' is not a host name: expected 1 to 63 characters between dots"),
        (f"redis://{'a' * 64}.example", "is not a host name"),
        (f"redis://{'ü' * 60}.example", "is not a host name"),
        ("redis://h:0", "port 0: expected 1 to 65535"),
        ("unix://run/redis.sock", "three slashes, as in unix:///run/redis.sock"),
        ("redis://h/0?password=a#b", "a '/', '#', '.' or '@' in a password is written"),
        ("redis+sentinel://s1,.s2/main", "'.s2' is not a host name"),
        ("rediss://h?ssl_ca_certs=/missing.pem", r"ssl_ca_certs=/missing.pem: the file cannot be read \(No such file"),
    ],
)
def test_an_invalid_address_is_refused(url: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        ClientSettings.from_env({"REDIS_URL": url})


@pytest.mark.parametrize("url", ["redis://h/1", "redis://h?db=2", "unix:///s?db=3", "redis://h/0?db=1", "redis://h/x"])
def test_another_database_is_refused_because_search_needs_database_0(url: str) -> None:
    with pytest.raises(SettingsError, match="search works on database 0 only"):
        ClientSettings.from_env({"REDIS_URL": url})


@pytest.mark.parametrize("url", ["http://h", "localhost:6379", "redis://", "redis://h:99999", "redis://h:port", "x"])
def test_an_invalid_redis_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(SettingsError, match=r"expected an address such as redis://127\.0\.0\.1:6379/0"):
        ClientSettings.from_env({"REDIS_URL": url})


@pytest.mark.parametrize(
    "url",
    [
        f"redis://user:{SECRET}@h/1",
        f"http://user:{SECRET}@h",
        f"redis://h/9?password={SECRET}",
        f"redis://user:a/{SECRET}@h/0",
        f"redis://user:a#{SECRET}@h/0",
        f"redis://user:1#{SECRET}@h/0",
        f"redis://user:[{SECRET}@h/0",
        f"user:{SECRET}@h",
        f"redis:/h/0?password={SECRET}",
    ],
)
def test_a_refusal_never_shows_the_password(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        ClientSettings.from_env({"REDIS_URL": url})

    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_wrong_address_given_in_python_is_refused_without_its_password() -> None:
    with pytest.raises(SettingsError) as refused:
        ClientSettings(redis_url=f"redis://user:{SECRET}@h/1")

    assert SECRET not in str(refused.value)


def test_repr_and_str_show_the_host_but_never_the_password() -> None:
    settings = ClientSettings(redis_url=f"redis://user:{SECRET}@h:1/0?protocol=2")

    shown = f"{settings!r} {settings}"

    assert SECRET not in shown
    assert "redis://h:1/0" in shown
    assert settings.public_redis_url == "redis://h:1/0"


def test_every_bad_value_is_named_in_one_line_with_what_was_expected() -> None:
    with pytest.raises(SettingsError) as refused:
        ClientSettings.from_env({"BACKLOG_LIMIT": "many", "RESULT_TTL_S": "1"})

    assert str(refused.value) == (
        "BACKLOG_LIMIT is 'many': expected a whole number (default: 1000000); "
        "RESULT_TTL_S is '1': expected at least 60 (default: 604800)"
    )


def test_an_environment_that_would_reach_into_anothers_keys_is_refused() -> None:
    with pytest.raises(SettingsError, match="ENVIRONMENT is 'dev:jobs'"):
        ClientSettings.from_env({"ENVIRONMENT": "dev:jobs"})


def test_settings_are_frozen() -> None:
    settings = ClientSettings()

    with pytest.raises(FrozenInstanceError):
        settings.environment = "other"  # pyright: ignore[reportAttributeAccessIssue]  that it is an error is the point


@dataclass(frozen=True, kw_only=True)
class _WiderSettings(ClientSettings):
    max_jobs: Annotated[int, Within(ge=1, le=100)] = 10
    share: Annotated[float, Within(gt=0, le=1)] = 0.5
    allow: bool = False
    level: Literal["low", "middle", "high"] = "low"


def test_an_extension_reads_its_own_variables_beside_the_clients() -> None:
    settings = _WiderSettings.from_env({"MAX_JOBS": "3", "ENVIRONMENT": "ci", "ALLOW": "1"})

    assert (settings.max_jobs, settings.environment, settings.allow) == (3, "ci", True)
    assert "MAX_JOBS" in setting_names(_WiderSettings)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MAX_JOBS", "0", "at least 1"),
        ("MAX_JOBS", "101", "at most 100"),
        ("SHARE", "0", "more than 0"),
        ("SHARE", "1.5", "at most 1"),
        ("SHARE", "half", "a number"),
        ("SHARE", "nan", "more than 0"),
        ("ALLOW", "perhaps", "1 or 0"),
        ("LEVEL", "deep", "'low', 'middle' or 'high'"),
    ],
)
def test_an_extensions_bad_value_is_described_in_words(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}': expected {expected}"):
        _WiderSettings.from_env({name: value})


@pytest.mark.parametrize(("text", "allowed"), [("1", True), ("True", True), ("on", True), ("0", False), ("NO", False)])
def test_a_truth_value_may_be_said_in_the_usual_ways(text: str, allowed: bool) -> None:
    assert _WiderSettings.from_env({"ALLOW": text}).allow is allowed


def test_an_extension_given_in_python_is_checked_and_shows_no_password() -> None:
    with pytest.raises(SettingsError, match="MAX_JOBS is '0': expected at least 1"):
        _WiderSettings(max_jobs=0)

    assert SECRET not in repr(_WiderSettings(redis_url=f"redis://user:{SECRET}@h/0"))


def test_every_field_documents_itself() -> None:
    [body] = [item.body for item in ast.parse(inspect.getsource(ClientSettings)).body if isinstance(item, ast.ClassDef)]
    documented = {
        before.target.id
        for before, after in pairwise(body)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }

    assert documented >= {variable.name for variable in variables_of(ClientSettings)}


@pytest.mark.parametrize(
    ("given", "meant"),
    [("REDIS_URI", "REDIS_URL"), ("redis_url", "REDIS_URL"), ("ENVIROMENT", "ENVIRONMENT")],
)
def test_a_misspelt_name_suggests_the_nearest_setting(given: str, meant: str) -> None:
    lines = misspelt({given: "x", "PATH": "/bin"}, setting_names(ClientSettings))

    assert lines == (f"the environment sets {given!r}, which is not a setting: did you mean {meant!r}?",)


def test_other_programs_variables_raise_no_suggestion() -> None:
    environ = {"PATH": "", "HOME": "", "REDISCLI_AUTH": "", "ENV": "", "REDIS_URL": "", "LANG": ""}

    assert misspelt(environ, setting_names(ClientSettings)) == ()


def test_an_address_whose_parts_are_unclear_is_shown_as_an_ellipsis() -> None:
    assert public_redis_url(f"redis://u:1/{SECRET}@h") == "…"
    assert public_redis_url("localhost:6379") == "localhost:6379"


def test_a_password_file_may_hold_any_characters_and_is_never_shown(tmp_path: Path) -> None:
    strange = "a:b/c@d?e #%"
    (tmp_path / "password").write_text(f"{strange}\n")

    settings = ClientSettings.from_env(
        {"REDIS_URL": "redis://worker@redis:6379/0", "REDIS_PASSWORD_FILE": str(tmp_path / "password")}
    )

    assert parse_url(settings.redis_url)["password"] == strange
    assert parse_url(settings.redis_url)["username"] == "worker"
    assert "d%3Fe" not in repr(settings)
    assert settings.public_redis_url == "redis://redis:6379/0"


@pytest.mark.parametrize(
    ("url", "content", "expected"),
    [
        ("redis://:x@h", "y", "REDIS_PASSWORD_FILE and a password in REDIS_URL contradict each other"),
        ("redis://h", "", "is empty: write the password into it"),
        ("redis://h", None, "cannot be read"),
        ("redis://[::1:6379/0", "y", "expected an address such as redis://"),
    ],
)
def test_a_password_file_that_cannot_be_used_is_refused(
    tmp_path: Path, url: str, content: str | None, expected: str
) -> None:
    if content is not None:
        (tmp_path / "password").write_text(content)

    with pytest.raises(SettingsError, match=expected):
        ClientSettings.from_env({"REDIS_URL": url, "REDIS_PASSWORD_FILE": str(tmp_path / "password")})
