"""Consent banners that ``{"consent": true}`` accepts: buttons of the common platforms, then buttons by their words.

Most visitors accept, and then see the page without the banner. For other kinds of banners, a step names a selector.
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
WORDS: Final = "|".join(  # noqa: FLY002  one language per line
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
"""Default time to wait for a banner: most appear with the page, some a moment later."""
