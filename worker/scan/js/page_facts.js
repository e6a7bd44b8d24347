// Returns the current state of a page, as one JSON-able object; may be evaluated repeatedly. Named elements (<img
// name="title">) can shadow properties of `document`, so the prototypes' getters are used.
(() => {
  const own = (prototype, name) => Object.getOwnPropertyDescriptor(prototype, name).get.call(document);
  const all = Document.prototype.getElementsByTagName;
  // A document without scripts and frames changes only if it redirects itself.
  const refresh = Document.prototype.querySelector.call(document, "meta[http-equiv=refresh i][content]");
  const loadedMs = refresh ? performance.getEntriesByType("navigation")[0]?.loadEventEnd : 0;
  const isStill = !Object.hasOwn(globalThis, "sightlineStillMs") && window.length === 0 && refresh === null;
  const elements = all.call(document, "*").length;
  const body = own(Document.prototype, "body");
  // An application that renders late may already show its frame around an empty main part.
  const find = (selector) => Document.prototype.querySelector.call(document, selector);
  const main = find("main, [role=main i]") ?? (elements < 100 ? find("#root, #app, #__next, #__nuxt, #___gatsby, app-root") : null);
  const shadowOf = Object.getOwnPropertyDescriptor(Element.prototype, "shadowRoot").get;
  const isHollow = main !== null && Element.prototype.querySelector.call(main, "*") === null && shadowOf.call(main) === null &&
    Object.getOwnPropertyDescriptor(Node.prototype, "textContent").get.call(main).trim() === "";
  // Reading the rendered text needs layout, which is worth it only if the page may have no text.
  const text = isHollow ? "" : elements < 100 && body ? String(body.innerText).trim() : "…";
  // Half a surrogate pair cannot be encoded as UTF-8, and truncation can create one.
  const cut = (text, length) => String(text).slice(0, length).toWellFormed();
  // Truncated text that people read gets an ellipsis.
  const shown = (text, length) => (String(text).length > length ? `${cut(text, length - 1)}…` : cut(text, length));
  const FIELDS = "input:not([type]), input[type=text i], input[type=email i], input[type=tel i], input[type=search i], " +
    "textarea, select";
  const entry = Document.prototype.querySelector.call(
    document,
    "input[type=password i], input[autocomplete~=username i], input[autocomplete~=current-password i]",
  );
  const isVisible = (element) => Element.prototype.checkVisibility.call(element);
  // The first step of many sign-ins asks only for an e-mail address or a name.
  const fields = [...Document.prototype.querySelectorAll.call(document, FIELDS)].filter(isVisible);
  const isFirstStep = fields.length === 1 && Element.prototype.matches.call(fields[0], "[type=email i], " +
    "[autocomplete~=email i], [name=identifier i], [name=loginfmt i], [name=login i], [name=user i], [name=username i]");
  return {
    is_still: isStill,
    still_ms: Object.hasOwn(globalThis, "sightlineStillMs") ? globalThis.sightlineStillMs() : performance.now(),
    elements,
    text: cut(text, 200),
    content_type: own(Document.prototype, "contentType"),
    title: shown(own(Document.prototype, "title"), 500),
    asks_who: (entry !== null && isVisible(entry)) || isFirstStep,
    refresh: refresh ? cut(Element.prototype.getAttribute.call(refresh, "content"), 4000) : "",
    base: cut(Object.getOwnPropertyDescriptor(Node.prototype, "baseURI").get.call(document), 4000),
    loaded_s: loadedMs ? (performance.now() - loadedMs) / 1000 : -1,
    href: cut(location.href, 4000),
    height: Math.ceil(own(Document.prototype, "scrollingElement")?.scrollHeight ?? 0),
  };
})()
