// Runs in our isolated world right before the first script of a page; where it has not run, no script of the page has.
// Notes when the document changed last. Styles count apart: many pages change some without end.
(() => {
  let changed = performance.now(), styled = -Infinity;
  new MutationObserver(() => { changed = performance.now(); }).observe(document, {
    subtree: true, childList: true, characterData: true, attributes: true,
    attributeFilter: ["class", "hidden", "aria-hidden", "aria-busy", "open", "src", "alt", "aria-label"],
  });
  // Links to an app, a mail program or a telephone lead nowhere here, but the parser would stop at them for good.
  globalThis.navigation?.addEventListener("navigate", (event) => {
    if (!/^(https?|about|blob|data|file):/.test(event.destination.url)) event.preventDefault();
  });
  new MutationObserver(() => { styled = performance.now(); }).observe(document, {
    subtree: true, attributes: true, attributeFilter: ["style"],
  });
  globalThis.sightlineStillMs = () => performance.now() - changed;
  globalThis.sightlineStyledMs = () => Math.min(performance.now() - styled, 1e9);
})()
