// Runs in Sightline's isolated world right before the first script of a page; if it has not run, no script of the page
// has. Records when the document last changed. Styles are counted separately, because many pages change some
// continuously.
(() => {
  let changed = performance.now(), styled = -Infinity;
  new MutationObserver(() => { changed = performance.now(); }).observe(document, {
    subtree: true, childList: true, characterData: true, attributes: true,
    attributeFilter: ["class", "hidden", "aria-hidden", "aria-busy", "open", "src", "alt", "aria-label"],
  });
  // Navigating to an app, a mail program or a telephone number has no effect here, but would stop the parser for good.
  globalThis.navigation?.addEventListener("navigate", (event) => {
    if (!/^(https?|about|blob|data|file):/.test(event.destination.url)) event.preventDefault();
  });
  new MutationObserver(() => { styled = performance.now(); }).observe(document, {
    subtree: true, attributes: true, attributeFilter: ["style"],
  });
  globalThis.sightlineStillMs = () => performance.now() - changed;
  globalThis.sightlineStyledMs = () => Math.min(performance.now() - styled, 1e9);
})()
