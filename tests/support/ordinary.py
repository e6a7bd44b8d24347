"""Ordinary pages without doubts, whose words and behaviour must not be misinterpreted.

``ORDINARY`` maps a path to the HTML served there; written for these tests.
"""

from __future__ import annotations

from typing import Final

from tests.support.site import Site, reply

_PROSE: Final = (
    "The council met on Tuesday evening to decide how the old harbour is to be used once the last of the cranes has "
    "been taken down. Residents had asked for a park, traders for parking, and the sailing club for both of its slips. "
)
_NAV: Final = (
    "<header><nav aria-label=Main><a href=/>Home</a> <a href=/b>Boats</a> <a href=/c>Contact</a></nav></header>"
)


def _page(title: str, body: str, *, head: str = "", lang: str = "en", more: str = "") -> str:
    head = f"<head><meta charset=utf-8><title>{title}</title>{head}</head>"
    return f'<!doctype html><html lang="{lang}"{more}>{head}<body>{body}</body></html>'


def _paragraphs(text: str, number: int) -> str:
    return f"<p>{text * 2}</p>" * number


def _field(label: str, kind: str = "text", more: str = "") -> str:
    return f"<p><label>{label} <input type={kind} {more}></label></p>"


_CARDS = "".join(
    f"<li><h2>Axe {n}</h2><img src=/pixel.png alt='' width=80><p>{n} euro</p><button>Buy axe {n}</button></li>"
    for n in range(12)
)
_ROWS = "".join(f"<tr><th scope=row>Station {n}</th><td>{n * 3}</td><td>{n % 7}</td></tr>" for n in range(80))
_TILES = "".join(f"<section><h2>Metric {n}</h2><p>{n * 17} today</p></section>" for n in range(6))

_ROUTER = """<script>
const routes = { "/": "<h1>Inbox</h1><p>You have two new messages.</p>", "/sent": "<h1>Sent</h1><p>Nothing yet.</p>" };
const show = () => { document.querySelector("main").innerHTML = routes[location.hash.slice(1)] || routes["/"] };
addEventListener("hashchange", show); setTimeout(show, 150);
</script>"""
_DASHBOARD = """<script>
new EventSource("/events"); fetch("/api/me").catch(() => 0);
fetch("/api/numbers").then((got) => got.json()).then(({ sum }) => { document.querySelector("#sum").textContent = sum });
</script>"""
_COMPONENTS = """<script>
const parts = { "x-nav": "<nav aria-label=Side><a href=/>Home</a></nav>", "x-card": "<h2>Card</h2><slot></slot>" };
for (const [name, html] of Object.entries(parts))
  customElements.define(name, class extends HTMLElement {
    connectedCallback() { this.attachShadow({ mode: "open" }).innerHTML = html }
  });
customElements.define("x-plain", class extends HTMLElement { connectedCallback() { this.innerHTML = "<p>Plain</p>" } });
customElements.define("x-layout", class extends HTMLElement {
  connectedCallback() { this.attachShadow({ mode: "closed" }).innerHTML = "<style></style><div><slot></slot></div>" }
});
</script>"""
_CONSENT = """<dialog open aria-label=Cookies><p>We use cookies to count visits.</p><button>Accept</button>
<button>Refuse</button></dialog>"""

_SLIDES = "".join(
    f'<div role=group aria-label="Slide {n}" aria-hidden={str(n > 0).lower()}><p>Offer {n}</p></div>' for n in range(4)
)
_CHOICE = """<div role=dialog aria-modal=true aria-label=Country><p>Where are you?</p><button>Here</button></div>"""

ORDINARY: Final[dict[str, str]] = {
    "/news": _page("Harbour news", f"{_NAV}<main><h1>The harbour decision</h1>{_paragraphs(_PROSE, 6)}</main>"),
    "/letter": _page(
        "Kettle",
        f"<header aria-hidden=true>{_NAV}<ul>{_CARDS}</ul></header><main><h1>Kettle</h1><p>Holds a litre.</main>"
        "<div role=dialog aria-modal=true aria-label=Letter><p>Our letter, once a month.</div>",
    ),
    "/views": _page(
        "Harbour app",
        f"<main hidden><h1>The decision</h1>{_paragraphs(_PROSE, 6)}</main><main><h1>Home</h1><p>Two messages.</main>",
    ),
    "/for-phones": _page(
        "Harbour news",
        f"<main hidden><h1>The decision</h1>{_paragraphs(_PROSE, 6)}</main><div role=region aria-label=News>"
        f"<h1>The decision</h1>{_paragraphs(_PROSE, 6)}</div>",
    ),
    "/results-to-come": _page("Search", f"{_NAV}<h1>Search</h1><main hidden><p>Nothing was found.</main>"),
    "/slides": _page("Offers", f"{_NAV}<main><h1>Offers</h1>{_SLIDES}<ul>{_CARDS}</ul></main>{_CHOICE}"),
    "/decorated": _page(
        "Boats",
        "<h1>Boats</h1><p>Three for hire.</p>"
        + "<img src=/pixel.png aria-hidden=true alt='' width=40 height=40>" * 9
        + "<div inert hidden><p>Menu</p><a href=/>Home</a></div>",
    ),
    "/written-frame": _page(
        "Weather",
        f"{_NAV}<main><h1>Weather</h1><p>Rain until noon.</p><iframe title=Map src='' height=90></iframe>"
        "<iframe title=Now srcdoc='<html lang=en><title>Now</title><p>Rain</p>'></iframe></main>",
    ),
    "/shop": _page("Axes | Shop", f"{_NAV}<main><h1>Axes</h1><ul>{_CARDS}</ul></main>"),
    "/form": _page(
        "Order",
        f"{_NAV}<main><h1>Your order</h1><form>{_field('Name')}{_field('Street')}{_field('E-mail', 'email')}"
        "<p><label>Note <textarea></textarea></label></p><button>Send</button></form></main>",
    ),
    "/docs": _page(
        "Errors | API reference",
        f"{_NAV}<main><h1>Errors</h1>{_paragraphs(_PROSE, 2)}<h2>500</h2><p>Internal server error: try again.</p>"
        f"<pre tabindex=0>Traceback (most recent call last)</pre><h2>403</h2><p>Access denied.</p></main>",
    ),
    "/app": _page("Mail", f"{_NAV}<main></main>{_ROUTER}"),
    "/dashboard": _page(
        "Dashboard", f"{_NAV}<main><h1>Today</h1>{_TILES}<p>Sum: <b id=sum>0</b></p></main>{_DASHBOARD}"
    ),
    "/login": _page(
        "Sign in",
        f"<main><h1>Sign in</h1><form>{_field('E-mail', 'email', 'autocomplete=username')}"
        f"{_field('Password', 'password', 'autocomplete=current-password')}<button>Sign in</button></form></main>",
    ),
    "/register": _page(
        "Create an account",
        f"<main><h1>Create an account</h1><form>{_field('E-mail', 'email')}"
        f"{_field('Password', 'password', 'autocomplete=new-password')}<button>Create</button></form></main>",
    ),
    "/thanks": _page("Thank you", "<main><h1>Thank you!</h1><p>We have your message.</p></main>"),
    "/contact": _page(
        "Contact",
        f"{_NAV}<main><h1>Contact</h1><form>{_field('Name')}{_field('E-mail', 'email')}<p><label>Message <textarea>"
        "</textarea></label></p><div class=g-recaptcha style='height:78px'><label><input type=checkbox> I'm not a robot"
        "</label></div><button>Send</button></form></main>",
    ),
    "/about-404": _page(
        "Page not found: how to write a good 404 page",
        f"{_NAV}<main><h1>Page not found: how to write a good 404 page</h1>{_paragraphs(_PROSE, 5)}"
        "<p>Say what happened: 'This page does not exist.' Never say 'Access denied'.</p></main>",
    ),
    "/video": _page(
        "Video",
        f"{_NAV}<main><h1>The launch</h1><video controls width=600 height=300 aria-label=Launch></video></main>",
    ),
    "/table": _page(
        "Stations",
        f"{_NAV}<main><h1>Stations</h1><table><caption>Trains a day</caption><tr><th scope=col>Station</th>"
        f"<th scope=col>Trains</th><th scope=col>Late</th></tr>{_ROWS}</table></main>",
    ),
    "/consent": _page("Boats", f"{_NAV}<main><h1>Boats</h1>{_paragraphs(_PROSE, 2)}</main>{_CONSENT}"),
    "/map": _page(
        "Where we are", f"{_NAV}<main><h1>Where we are</h1><iframe title=Map src=/map-inside></iframe></main>"
    ),
    "/landing": _page("Axe", "<main><h1>Axe</h1><img src=/pixel.png alt='A red axe' width=400 height=300></main>"),
    "/picture": _page("Poster", "<main><img src=/pixel.png alt='Summer fair, 3 July' width=400 height=600></main>"),
    "/components": _page(
        "Components",
        f"<x-nav></x-nav><main><h1>Components</h1><x-card>Text</x-card><x-plain></x-plain><x-layout><p>In a layout</p>"
        f"</x-layout><div style='height:8px'></div></main>{_COMPONENTS}",
    ),
    "/search": _page(
        "Search",
        f"{_NAV}<main><h1>Search</h1><form>{_field('Words', 'search')}</form><p>Nothing found for 'axe'.</p></main>",
    ),
    "/rtl": _page(
        "مكتبة",
        "<main><h1>مكتبة المدينة</h1><p>نفتح أبوابنا كل يوم من التاسعة صباحا حتى السادسة مساء.</p></main>",
        lang="ar",
        more=" dir=rtl",
    ),
    "/cjk": _page(
        "図書館", "<main><h1>市立図書館</h1><p>毎日午前九時から午後六時まで開いています。</p></main>", lang="ja"
    ),
    "/terms": _page(
        "Terms",
        f"{_NAV}<main><h1>Terms</h1>{_paragraphs(_PROSE, 30)}<p>The service may be down for maintenance.</p></main>",
    ),
    "/status": _page(
        "Status",
        f"{_NAV}<main><h1>All systems work</h1><ul>{'<li><a href=/s>A part of it</a>: works</li>' * 20}</ul>"
        "<p>Scheduled maintenance: none.</p></main>",
    ),
    "/newsletter": _page(
        "Newsletter",
        f"{_NAV}<main><h1>Our newsletter</h1><form>{_field('E-mail', 'email')}<button>Sign up</button></form></main>",
    ),
    "/upload": _page(
        "Upload",
        f"{_NAV}<main><h1>Upload</h1><p><label>File <input type=file></label></p>"
        "<progress aria-label=Done value=0 max=9></progress></main>",
    ),
    "/chart": _page(
        "Chart", f"{_NAV}<main><h1>Rain</h1><canvas width=900 height=500 role=img aria-label=Rain></canvas></main>"
    ),
}


def serve_ordinary(site: Site) -> None:
    """Serve them all, and their resources."""
    for path, html in ORDINARY.items():
        site.add(path, html)
    site.add("/map-inside", _page("Map", "<main><h1>Map</h1><p>Harbour Road 1</p></main>"))
    site.add("/api/numbers", reply('{"sum": 7}', content_type="application/json"))
    site.add("/api/me", reply("{}", status="401 Unauthorized", content_type="application/json"))
    site.add("/events", reply(": hello\n\n", content_type="text/event-stream"))
