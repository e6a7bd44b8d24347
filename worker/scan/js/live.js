// Functions shared by the live checks, in Sightline's isolated world of a document: elements by number, visibility,
// names, drawn frames. A form's fields shadow its DOM properties, so the prototypes' getters are used.
(() => {
  if (Object.hasOwn(globalThis, "sightlineLive")) return;
  const MAX_ELEMENTS = 20000;
  const getter = (prototype, name) => {
    const { get } = Object.getOwnPropertyDescriptor(prototype, name);
    return (object) => get.call(object);
  };
  const parentNode = getter(Node.prototype, "parentNode"), shadowRoot = getter(Element.prototype, "shadowRoot");
  const attribute = (element, name) => Element.prototype.getAttribute.call(element, name);
  const matches = (element, selector) => Element.prototype.matches.call(element, selector);
  const closest = (element, selector) => Element.prototype.closest.call(element, selector);
  const boxOf = (element) => Element.prototype.getBoundingClientRect.call(element);
  // The parent, across the edge of a shadow tree.
  const above = (node) => {
    const parent = parentNode(node);
    return parent instanceof ShadowRoot ? parent.host : parent instanceof Element ? parent : null;
  };
  const around = function* (element) { for (let at = element; at; at = above(at)) yield at; };
  const isWithin = (element, outer) => [...around(element)].includes(outer);
  const elements = function* (from = document, left = { count: MAX_ELEMENTS }) {
    for (const element of from.querySelectorAll("*")) {
      if (--left.count < 0) return;
      yield element;
      const inner = shadowRoot(element);
      if (inner) yield* elements(inner, left);
    }
  };
  const isShown = (element) =>
    Element.prototype.checkVisibility.call(element, { visibilityProperty: true, opacityProperty: true });
  const textOf = (element) => (Object.getOwnPropertyDescriptor(HTMLElement.prototype, "innerText").get.call(element) ?? "").trim();
  const nameOf = (element) => {
    const labelled = (attribute(element, "aria-labelledby") ?? "").split(/\s+/).filter(Boolean)
      .map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
    const said = labelled || attribute(element, "aria-label")?.trim();
    if (said) return said;
    const labels = element instanceof HTMLInputElement || element instanceof HTMLSelectElement || element instanceof HTMLTextAreaElement
      ? [...(element.labels ?? [])].map((label) => label.textContent).join(" ").trim() : "";
    const own = element instanceof HTMLElement ? textOf(element) : (element.textContent ?? "").trim();
    const image = element.querySelector?.("img[alt]:not([alt=''])");
    return labels || (matches(element, "input[type=button],input[type=submit],input[type=reset]") && element.value) || own ||
      (image && attribute(image, "alt")) || attribute(element, "title") || attribute(element, "alt") || attribute(element, "placeholder") || "";
  };
  const short = (text, most = 60) => {
    const line = String(text ?? "").replace(/\s+/g, " ").trim();
    return (line.length > most ? `${line.slice(0, most - 1)}…` : line).toWellFormed();
  };
  // Whether a script of the page has run (document_start.js); the page may have removed its element.
  const isScripted = () => Object.hasOwn(globalThis, "sightlineStillMs");
  // Event attributes are scripts, too: a focus that one of them moves must be waited for.
  const hasScripts = () => isScripted() ||
    document.evaluate("//@*[starts-with(name(), 'on')]", document, null, XPathResult.BOOLEAN_TYPE, null).booleanValue;
  // Two frames, so that the page's scripts have reacted; one where there are none.
  const drawn = () => new Promise((resolve) => {
    requestAnimationFrame(hasScripts() ? () => requestAnimationFrame(resolve) : resolve);
    setTimeout(resolve, 150);
  });
  const active = () => {
    let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    return at === document.body || at === document.documentElement ? null : at;
  };
  const kept = [];
  const numbers = new Map();
  const numberOf = (element) => {
    if (!numbers.has(element)) numbers.set(element, kept.push(element) - 1);
    return numbers.get(element);
  };
  // Red, green and blue up to 255, and alpha up to 1, of a colour in any CSS notation: the browser draws it.
  const colors = new Map();
  let paper;
  const channels = (color) => {
    if (!colors.has(color)) {
      paper ??= new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
      paper.clearRect(0, 0, 1, 1);
      paper.fillStyle = "transparent";
      paper.fillStyle = color;
      paper.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = paper.getImageData(0, 0, 1, 1).data;
      colors.set(color, [red, green, blue, alpha / 255]);
    }
    return colors.get(color);
  };
  // The relative luminance of WCAG, without alpha.
  const luminance = (color) => {
    const [red, green, blue] = channels(color).map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const pageBox = (element) => {
    const box = boxOf(element);
    return [box.left + scrollX, box.top + scrollY, box.width, box.height].map(Math.round);
  };
  let [include, exclude] = [[], []];
  globalThis.sightlineLive = {
    attribute, matches, closest, boxOf, above, around, isWithin, elements, isShown, nameOf, textOf, short, drawn, numberOf, pageBox,
    active, channels, luminance, isScripted, hasScripts,
    kept: (number) => kept[number],
    limit: (within, without) => { [include, exclude] = [within, without]; },
    // Whether the element is in the part of the page that was asked for.
    isAsked: (element) => {
      const fits = (selectors) => selectors.some((selector) => [...around(element)].some((at) => matches(at, selector)));
      return (include.length === 0 || fits(include)) && !(exclude.length > 0 && fits(exclude));
    },
    describe: (wanted) => sightlineAudit.describe(wanted.map((number) => kept[number])),
    box: (number) => pageBox(kept[number]),
  };
})()
