"""The flags that every Chromium is started with, and why. ``chromium.py`` starts it."""

from __future__ import annotations

from typing import Final

FEATURES_OFF: Final = (
    "Translate",
    "OptimizationHints",
    "MediaRouter",
    "AutofillServerCommunication",
    "DialMediaRouteProvider",
    # Chromium would start a second process in every context, for a second site that a scan never visits.
    "SpareRendererForSitePerProcess",
)
FLAGS: Final = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-startup-window",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-extensions",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--metrics-recording-only",
    "--password-store=basic",
    "--use-mock-keychain",
    # Pages of several scans are loaded at once, and none is in the foreground.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    # The same rendering and colours everywhere.
    "--disable-gpu",
    "--hide-scrollbars",
    "--mute-audio",
    "--force-color-profile=srgb",
    "--disable-dev-shm-usage",
    # The headless shell puts frames of all sites into one process: an advertisement that hangs or eats memory would
    # take the page down with it. Costs 0.03 s per page.
    "--site-per-process",
    # No way out except the proxy.
    "--disable-quic",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--dns-prefetch-disable",
    f"--disable-features={','.join(FEATURES_OFF)}",
    "--block-new-web-contents",
)
