"""Consent banners that ``{"consent": true}`` accepts: buttons of the common platforms, then buttons by their words.

Accepting is what most visitors do, and what leaves the page as they see it. A banner of another kind is named by a
selector.
"""

from __future__ import annotations

from typing import Final

KNOWN_BUTTONS: Final = (
    "#onetrust-accept-btn-handler",  # OneTrust
    "#CybotCookiebotDialogBodyLevelButtonLevelOptinAllowAll",  # Cookiebot
    "#CybotCookiebotDialogBodyButtonAccept",
    "[data-testid=uc-accept-all-button]",  # Usercentrics, in a shadow root
    "#didomi-notice-agree-button",  # Didomi
    ".qc-cmp2-summary-buttons button[mode=primary]",  # Quantcast
    "#truste-consent-button",  # TrustArc
    ".cky-btn-accept",  # CookieYes
    ".cmplz-accept",  # Complianz
    "[data-cookie-accept-all]",  # Borlabs
    ".iubenda-cs-accept-btn",  # iubenda
    "#tarteaucitronPersonalize2",  # tarteaucitron
    ".osano-cm-accept-all",  # Osano
    "[data-cookiefirst-action=accept]",  # CookieFirst
    ".klaro .cm-btn-accept-all, .klaro .cm-btn-success",  # Klaro
    "#axeptio_btn_acceptAll",  # Axeptio
    ".cc-window .cc-allow, .cc-window .cc-dismiss",  # Cookie Consent
)
WORDS: Final = "|".join(  # noqa: FLY002  a language a line
    (
        r"(?:i )?(?:accept|agree|allow)(?: and (?:close|continue))?(?: all)?(?: (?:cookies|optional cookies))?",
        r"accept all|allow all|got it|ok|okay|yes, i agree|i understand",
        r"(?:alle )?(?:cookies )?(?:akzeptieren|annehmen|zulassen|erlauben)|allen? zustimmen|zustimmen|einverstanden",
        r"alle (?:cookies )?(?:akzeptieren|annehmen|zulassen|erlauben)",
        r"(?:tout )?accepter(?: tout)?(?: (?:et fermer|les cookies))?|j.accepte|d.accord",
        r"aceptar(?: todo| todas)?(?: (?:las )?cookies)?|accetta(?: tutti| tutto)?(?: i cookie)?|accetto",
        r"(?:alles |alle cookies )?accepteren|akkoord|aceitar(?: tudo| todos)?(?: os cookies)?",
    )
)
WAIT_S: Final = 3.0
"""For a banner, in a step that names no time: most come with the page, some a moment later."""
