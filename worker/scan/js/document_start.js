// Runs in our isolated world right before the first script of a page; where it has not run, no script of the page has.
// Notes when the document changed last.
(() => {
  let changed = performance.now();
  new MutationObserver(() => { changed = performance.now(); }).observe(document, {
    subtree: true, childList: true, characterData: true, attributes: true,
    attributeFilter: ["class", "hidden", "aria-hidden", "aria-busy", "open", "src", "alt", "aria-label"],
  });
  // Links to an app, a mail program or a telephone lead nowhere here, but the parser would stop at them for good.
  globalThis.navigation?.addEventListener("navigate", (event) => {
    if (!/^(https?|about|blob|data|file):/.test(event.destination.url)) event.preventDefault();
  });
  globalThis.sightlineStillMs = () => performance.now() - changed;
})()
