"""Secrets go to the page's own origin and nowhere else."""

from __future__ import annotations

from typing import Any, cast

import pytest

from producer.errors import InvalidJob
from worker.scan.login import headers_for, log_in
from worker.scan.page import Page
from worker.scan.settings import Secrets

OURS = {"Authorization": "Bearer 123"}


def sent(url: str, headers: dict[str, str], *, origin: str = "https://shop.example") -> dict[str, str]:
    made = headers_for({"url": url, "headers": headers}, origin=origin, headers=OURS)
    return {item["name"]: item["value"] for item in made}


@pytest.mark.parametrize("url", ["https://shop.example/", "https://shop.example:443/api?x", "https://SHOP.example/a"])
def test_the_pages_own_origin_gets_the_headers(url: str) -> None:
    assert sent(url, {"Accept": "*/*"}) == {"Accept": "*/*", **OURS}


@pytest.mark.parametrize(
    "url", ["http://shop.example/", "https://shop.example:8443/", "https://cdn.shop.example/", "https://evil.example/"]
)
def test_another_origin_gets_none_even_after_a_redirect(url: str) -> None:
    assert sent(url, {"Accept": "*/*", "authorization": "Bearer 123"}) == {"Accept": "*/*"}


def test_secrets_hide_their_values() -> None:
    secrets = Secrets(headers=OURS, cookies=({"name": "session", "value": "abc"},), storage_state={"cookies": []})

    assert "123" not in repr(secrets)
    assert "abc" not in f"{secrets}"


@pytest.mark.parametrize(
    "state",
    [
        {"cookies": ["session=abc"]},
        {"cookies": 1},
        {"origins": [{"localStorage": []}]},
        {"origins": ["https://shop.example"]},
        {"origins": [{"origin": "https://shop.example", "localStorage": [{"name": "token"}]}]},
    ],
)
async def test_a_storage_state_of_another_form_is_refused_without_its_values(state: dict[str, Any]) -> None:
    with pytest.raises(InvalidJob, match="expected cookies and origins as in a storage state of Playwright") as refused:
        await log_in(cast("Page", None), "https://shop.example/", Secrets(storage_state=state))

    assert "abc" not in str(refused.value)
