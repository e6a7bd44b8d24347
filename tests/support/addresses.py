"""Two hundred spellings of forty addresses; all spellings of one address must be one page everywhere."""

from __future__ import annotations

from typing import Final


def _around(scheme: str, host: str, rest: str) -> list[str]:
    """Return the spellings that every address has."""
    port = {"http": 80, "https": 443}[scheme]
    return [
        f"{scheme.upper()}://{host}{rest}",
        f"{scheme}://{host.upper()}{rest}",
        f"{scheme}://{host}:{port}{rest}",
        f"{scheme}://{host}.{rest}",
        f" \t{scheme}://{host}{rest}\r\n",
    ]


def _spellings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    rests = {
        "/": ["", "?", "#", "/.", "/./", "/a/..", "/%2e", "\\", "/#top"],
        "/~eu/": ["/%7Eeu/", "/%7eeu/", "/~eu/#", "/x/%2E%2e/~eu/", "\\~eu\\"],
        "/a": ["/%61", "/./a", "/b/../a", "/a?", "/a#part", "/a#:~:text=x"],
        "/a/": ["/a/.", "/a/b/..", "/a/#b"],
        "/%C3%BC": ["/ü", "/%c3%bc", "/%C3%bc#ä"],
        "/a%20b": ["/a b", "/a%20b#x y"],
        "/100%25": ["/100%", "/100%25#"],
        "/a%2Fb": ["/a%2fb", "/%61%2Fb"],
        "/a//b": ["/a//./b", "/a//b#"],
        "/x?b=1&a=2": ["/x?b=1&a=2#top", "/x?%62=1&a=2", "/y/../x?b=1&a=2"],
        "/x?a=2&b=1": ["/x?a=2&b=1#", "/x?a=%32&b=1"],
        "/x?q=%C3%A4%20b": ["/x?q=ä b", "/x?q=%c3%a4%20b"],
        "/?next=http://b.example/": ["?next=http://b.example/", "/?next=http://b.example/#t"],
        "/?q=%2F": ["?q=%2f", "/?q=%2F#"],
        "/app#/pay": ["/app?#/pay", "/%61pp#/pay", "/app#/%70ay"],
        "/app#/cart": ["/./app#/cart"],
        "/app#!/pay": ["/app?#!/pay", "/app#!/p%61y"],
    }
    for scheme in ("http", "https"):
        for rest, others in rests.items():
            host = "shop.example"
            found[f"{scheme}://{host}{rest}"] = [
                *_around(scheme, host, rest),
                *(f"{scheme}://{host}{other}" for other in others),
            ]
    found |= {
        "http://127.0.0.1/": ["http://127.1", "http://0x7f.1/", "http://2130706433", "http://0177.0.0.1:80/"],
        "http://127.0.0.1:8080/x": ["http://127.1:8080/x", "http://0x7F000001:08080/x"],
        "http://[::1]/": ["http://[0:0:0:0:0:0:0:1]", "http://[::1]:80/", "http://[0::1]/#top"],
        "https://xn--bcher-kva.example/": [
            "https://bücher.example",
            "https://BÜCHER.example/",
            "https://bu\u0308cher.example/",
        ],
        "https://xn--strae-oqa.example/": ["https://straße.example", "https://STRAẞE.example./"],
        "https://shop.example:8443/": ["https://shop.example:8443", "https://Shop.Example:08443/?"],
    }
    return found


SPELLINGS: Final = _spellings()
"""The normalised spelling of each address, and others of it."""
