// What our isolated world sees of a page right now. Evaluates to one JSON-able object; may be evaluated repeatedly.
// A page can shadow properties of `document` by named elements (<img name="title">): prototypes are asked instead.
(() => {
  const own = (prototype, name) => Object.getOwnPropertyDescriptor(prototype, name).get.call(document);
  const all = Document.prototype.getElementsByTagName;
  // A document without scripts and frames changes by itself only where it sends itself elsewhere.
  const isStill = !Object.hasOwn(globalThis, "sightlineStillMs") && window.length === 0 &&
    Document.prototype.querySelector.call(document, "meta[http-equiv=refresh i]") === null;
  const elements = all.call(document, "*").length;
  const body = own(Document.prototype, "body");
  // Layout for the text is only worth it where there could be none of it.
  const text = elements < 100 && body ? String(body.innerText).trim() : "…";
  const heading = all.call(document, "h1")[0];
  // Half a surrogate pair cannot be written as UTF-8, and cutting can make one.
  const cut = (text, length) => String(text).slice(0, length).toWellFormed();
  // What people read is marked where it was cut.
  const shown = (text, length) => (String(text).length > length ? `${cut(text, length - 1)}…` : cut(text, length));
  const entry = Document.prototype.querySelector.call(
    document,
    "input[type=password i], input[autocomplete~=username i], input[autocomplete~=current-password i]",
  );
  return {
    is_still: isStill,
    still_ms: Object.hasOwn(globalThis, "sightlineStillMs") ? globalThis.sightlineStillMs() : performance.now(),
    elements,
    is_bare: text === "" || /^(loading|please wait|wird geladen|bitte warten|chargement)\W*$/i.test(text),
    content_type: own(Document.prototype, "contentType"),
    title: shown(own(Document.prototype, "title"), 500),
    heading: heading ? shown(heading.textContent, 200).trim() : "",
    asks_who: entry !== null && Element.prototype.checkVisibility.call(entry),
    href: cut(location.href, 4000),
    height: Math.ceil(own(Document.prototype, "scrollingElement")?.scrollHeight ?? 0),
  };
})()
