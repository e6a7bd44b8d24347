"""Pages that cannot be scanned completely, a few for each kind of doubt, with the expected kind.

``DOUBTFUL`` lists a path on the site prepared by ``serve_doubtful``, the kind, and words that the doubt must contain.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.site import Site, reply

_IMAGE = "<img src=/pixel.png>"
GUILTY = f"<main><h1>Guilty</h1><p>There is something to find here.</p>{_IMAGE}</main>"


@dataclass(frozen=True)
class Doubtful:
    path: str
    kind: str
    words: str = ""
    body: str = ""
    head: str = ""
    title: str = "Page"
    status: str = "200 OK"
    content_type: str = "text/html; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def html(self) -> str:
        head = f"<head><meta charset=utf-8><title>{self.title}</title>{self.head}</head>"
        return f'<!doctype html><html lang="en">{head}<body>{self.body}</body></html>'


def _small(path: str, kind: str, title: str, text: str, words: str = "") -> Doubtful:
    return Doubtful(path, kind, words, f"<main><h1>{title}</h1><p>{text}</p></main>", title=title)


_CLOSED = """<x-app></x-app><script>customElements.define("x-app", class extends HTMLElement { connectedCallback() {
this.attachShadow({ mode: "closed" }).innerHTML = "<img src=/pixel.png>"; } })</script>"""
_GATE = f"""<style>main {{ display: none }}</style>
<main><h1>Wines</h1>{"<p>A red wine of the south, dry and full.</p>" * 20}</main>
<div><h2>Are you over 18?</h2><button>Yes</button><button>No</button></div>"""
_ROWS = (
    "<script>customElements.define('app-row', class extends HTMLElement {})</script>"
    + "<app-row><p>Row</p></app-row>" * 500
)
_CLOSED_DIV = """<main><h1>Shop</h1><div></div></main><script>
document.querySelector("div").attachShadow({ mode: "closed" }).innerHTML = "<button>Buy</button>"</script>"""

DOUBTFUL: tuple[Doubtful, ...] = (
    Doubtful("/blank", "blank", "shows nothing"),
    Doubtful("/blank-404", "blank", "/gone.js answered 404", "<div id=root></div><script src=/gone.js></script>"),
    Doubtful("/blank-throws", "blank", "boom", '<div id=root></div><script>throw new Error("boom")</script>'),
    Doubtful("/blank-rejects", "blank", "no api", '<div></div><script>Promise.reject(new Error("no api"))</script>'),
    Doubtful("/blank-html", "blank", "text/html", "<div></div><script type=module src=/blank></script>"),
    Doubtful("/empty-main", "blank", "main part", "<nav><a href=/>Home</a></nav><main></main><script></script>"),
    Doubtful(
        "/empty-root", "blank", "main part", "<header><a href=/>Home</a></header><div id=root></div><script></script>"
    ),
    Doubtful(
        "/bones",
        "still-loading",
        "loading indicator",
        "<nav><a href=/>Home</a><a href=/b>Boats</a></nav><div class=skeleton-line>&nbsp;</div><script></script>",
    ),
    Doubtful("/loading", "still-loading", "loading", "<div id=root>Loading…</div><script src=/gone.js></script>"),
    Doubtful("/loading-fi", "still-loading", "", "<main><p>Ladataan...</p></main>"),
    Doubtful("/loading-el", "still-loading", "", "<p>Παρακαλώ περιμένετε…</p>"),
    Doubtful("/skeleton", "still-loading", "", "<main><h1>My app</h1><div aria-busy=true></div></main>"),
    Doubtful(
        "/spinner",
        "still-loading",
        "",
        '<div class=spinner><svg width=50 height=50 role=img aria-label="x"></svg></div>',
    ),
    Doubtful(
        "/main-loads",
        "still-loading",
        "",
        f"<nav>{'<a href=/>A link</a>' * 20}</nav><main>Loading</main><script></script>",
    ),
    Doubtful("/hidden", "hidden-content", "hidden", GUILTY, head="<style>body { display: none }</style>"),
    Doubtful("/invisible", "hidden-content", "", GUILTY, head="<style>body { visibility: hidden }</style>"),
    Doubtful(
        "/cloaked",
        "hidden-content",
        "/gone.js answered 404",
        GUILTY + "<script src=/gone.js></script>",
        head="<style>main { opacity: 0 }</style>",
    ),
    Doubtful("/gate", "hidden-content", "main part is hidden", _GATE),
    Doubtful("/gate-behind", "hidden-content", "main part is hidden", _GATE.replace("display: none", "opacity: 0")),
    Doubtful("/canvas", "canvas-only", "canvas", "<canvas width=1000 height=700></canvas><script></script>"),
    Doubtful("/noscript", "noscript-only", "", "<noscript><h1>Turn on JavaScript</h1></noscript>"),
    Doubtful("/noscript-text", "noscript-only", "", "<p>You need to enable JavaScript to run this app.</p>"),
    Doubtful(
        "/unstyled", "failed-stylesheet", "/gone.css answered 404", GUILTY, "<link rel=stylesheet href=/gone.css>"
    ),
    Doubtful("/lacks-script", "failed-request", "/gone.js answered 404", GUILTY, "<script src=/gone.js></script>"),
    Doubtful("/lacks-data", "failed-request", "data", GUILTY, "<script>fetch('/gone.json')</script>"),
    Doubtful("/open", "open-request", "/hang", GUILTY, "<script>fetch('/hang')</script>"),
    Doubtful("/dead-frame", "unread-frame", "answered 404", f"{GUILTY}<iframe title=a src=/gone></iframe>"),
    Doubtful("/dead-inside", "unread-frame", "answered 404", f'{GUILTY}<iframe title=In src="/dead-frame"></iframe>'),
    Doubtful(
        "/endless",
        "endless-feed",
        "further down was not scanned",
        f"<main>{GUILTY}<div style='height:3000px'></div></main><script>addEventListener('scroll', () => "
        "document.querySelector('main').insertAdjacentHTML('beforeend', '<div style=\"height:900px\">More</div>'))"
        "</script>",
    ),
    Doubtful("/idle-frame", "lazy-frame", "never loaded", f"{GUILTY}<iframe title=a src=/nothing></iframe>"),
    Doubtful(
        "/shadowed",
        "shadowed-names",
        "the form 'form#search' has a field named 'childNodes'",
        f"{GUILTY}<form id=search action=/s><img src=/pixel.png><img alt=a id=childNodes src=/pixel.png></form>",
    ),
    Doubtful("/closed", "closed-shadow-root", "x-app", _CLOSED),
    Doubtful("/closed-div", "closed-shadow-root", "div", _CLOSED_DIV),
    Doubtful(
        "/closed-declared",
        "closed-shadow-root",
        "section",
        f"{GUILTY}<section><template shadowrootmode=closed><img src=/pixel.png></template></section>",
    ),
    Doubtful(
        "/closed-around",
        "closed-shadow-root",
        "x-card",
        f"{GUILTY}<x-card><template shadowrootmode=closed>Text<slot></slot></template><p>In</p></x-card>",
    ),
    Doubtful("/closed-inside", "closed-shadow-root", "x-app", f'{GUILTY}<iframe title=In src="/closed"></iframe>'),
    Doubtful("/closed-last", "closed-shadow-root", "x-app", f"{GUILTY}{_ROWS}{_CLOSED}"),
    Doubtful(
        "/closed-in-the-last-frame",
        "closed-shadow-root",
        "x-app",
        f"{GUILTY}{'<iframe title=In srcdoc=Text></iframe>' * 30}<iframe title=In src=/closed></iframe>",
    ),
    Doubtful("/embed-inside", "embedded-document", "embed", f'{GUILTY}<iframe title=In src="/embed"></iframe>'),
    Doubtful(
        "/object", "embedded-document", "object", f"{GUILTY}<object data=/blank type=text/html aria-label=o></object>"
    ),
    Doubtful("/embed", "embedded-document", "embed", f"{GUILTY}<embed src=/blank type=text/html title=e>"),
    Doubtful(
        "/modal", "behind-modal", "dialog#d", f"{GUILTY}<dialog id=d><p>Hi</p></dialog><script>d.showModal()</script>"
    ),
    Doubtful(
        "/aria-modal",
        "behind-modal",
        "div#d",
        f"<div inert>{GUILTY}</div><div id=d role=dialog aria-modal=true aria-label=Hi><p>Hi there</p></div>",
    ),
    Doubtful(
        "/aria-hidden-modal",
        "behind-modal",
        "div#d",
        f"<div aria-hidden=true>{GUILTY}</div><div id=d role=dialog aria-modal=true aria-label=Hi><p>Hi</p></div>",
    ),
    Doubtful(
        "/aria-hidden-main",
        "behind-modal",
        "div#d",
        f"<main aria-hidden=true>{GUILTY}</main><ul><li><a href=/a>One</a><li><a href=/b>Two</a></ul>"
        "<div id=d role=dialog aria-label=Hi><p>Hi</p></div>",
    ),
    Doubtful(
        "/inert-main",
        "behind-modal",
        "main",
        f"<div><p>We use cookies</p><button>Good</button></div><main inert>{GUILTY}</main>",
    ),
    Doubtful(
        "/inert-most",
        "behind-modal",
        "div#app",
        f"<p>Hello</p><div id=app inert><h1>Guilty</h1><p>There is something here.</p>{_IMAGE}</div>",
    ),
    Doubtful("/hidden-main", "behind-modal", "main", f"<p>We use cookies</p><main aria-hidden=true>{GUILTY}</main>"),
    Doubtful("/part", "partial-document", "206", GUILTY, status="206 Partial Content"),
    Doubtful("/not-yet", "partial-document", "202", GUILTY, status="202 Accepted"),
    Doubtful("/xhtml", "parse-error", "", "<p>one", content_type="application/xhtml+xml"),
    Doubtful("/challenge", "bot-wall", "x-amzn-waf-action", GUILTY, headers=(("x-amzn-waf-action", "challenge"),)),
    _small("/wall", "bot-wall", "Just a moment...", "Checking your browser before accessing shop.example."),
    _small("/wall-pt", "bot-wall", "shop.example", "Confirme que não é um robô para continuar."),
    Doubtful("/captcha", "bot-wall", "captcha", "<p>Hello</p><div class=h-captcha style='height:80px'>…</div>"),
    _small("/denied", "access-denied", "Access Denied", "Reference #18.2f1"),
    _small("/denied-it", "access-denied", "shop.example", "Accesso negato. Non hai i permessi."),
    _small("/region", "access-denied", "Sorry", "This content is not available in your region."),
    _small("/works", "maintenance", "We'll be back soon!", "Thank you for your patience."),
    _small("/works-de", "maintenance", "shop.example", "Wegen Wartungsarbeiten ist unsere Seite gerade nicht da."),
    _small("/500", "server-error", "Internal Server Error", "Please try again later."),
    _small("/500-pl", "server-error", "Ups", "Wystąpił błąd. Spróbuj ponownie później."),
    Doubtful("/json", "server-error", "", '{"error": "not found"}'),
    Doubtful("/php", "server-error", "", "<b>Fatal error</b>: Uncaught Error in /var/www/index.php:12"),
    Doubtful(
        "/account",
        "sign-in",
        "",
        "<main><h1>Sign in</h1><form><label>E-mail <input type=email></label><button>Next</button></form></main>",
    ),
    Doubtful(
        "/portal",
        "sign-in",
        "",
        "<main><h1>Welcome back</h1><form><label>User <input></label><label>Password <input type=password></label>"
        "<button>Go</button></form></main>",
    ),
    Doubtful(
        "/konto",
        "sign-in",
        "",
        "<main><h1>Bei Muster anmelden</h1><form><label>E-Mail <input type=email></label></form></main>",
    ),
    _small("/line", "interstitial", "Concert tickets", "You are now in line. You will have ten minutes."),
    _small("/moving", "interstitial", "Umzug", "Sie werden in Kürze weitergeleitet."),
    _small("/default", "placeholder", "Welcome to nginx!", "If you see this page, the server is working."),
    _small("/parked", "placeholder", "axes.example", "Ce nom de domaine est à vendre."),
    _small("/expired", "access-denied", "Su sesión ha caducado", "Vuelva a entrar."),
    _small("/too-many", "access-denied", "429 Too Many Requests", "Slow down."),
    _small("/missing", "soft-404", "Page not found", "Sorry."),
    _small("/missing-es", "soft-404", "Vaya", "Lo sentimos, esta página no existe."),
    Doubtful(
        "/missing-text", "soft-404", "", "<main><p>Sorry, we could not find that page.</p></main>", title="My shop"
    ),
    _small("/missing-hu", "soft-404", "Hoppá", "A keresett oldal nem található."),
)


def serve_doubtful(site: Site) -> None:
    """Serve them all."""
    for page in DOUBTFUL:
        site.add(
            page.path,
            reply(page.html, status=page.status, content_type=page.content_type, headers=dict(page.headers)),
        )
