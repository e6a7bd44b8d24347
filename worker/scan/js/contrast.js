// Finds the text of elements in one document and repaints it for screenshots. Evaluated in Sightline's isolated world,
// once per document, with `audit.js`, whose numbers identify the elements. A form's fields shadow its DOM properties,
// so the prototypes' getters are used. Styles are changed inline, because that overrides the page's own `!important`,
// and then restored.
(() => {
  if (Object.hasOwn(globalThis, "sightlineContrast")) return;
  const MAX_BOXES = 60;
  const MARK = "rgb(255, 0, 255)";
  const getter = (prototype, name) => {
    const { get } = Object.getOwnPropertyDescriptor(prototype, name);
    return (object) => get.call(object);
  };
  const [firstChild, nextSibling, parentNode] = ["firstChild", "nextSibling", "parentNode"].map((name) =>
    getter(Node.prototype, name));
  const [scrollTop, scrollLeft] = ["scrollTop", "scrollLeft"].map((name) => getter(Element.prototype, name));
  const inlineStyle = getter(HTMLElement.prototype, "style");
  const boxOf = (element) => Element.prototype.getBoundingClientRect.call(element);
  const elementAt = (number) => sightlineAudit.element(number);
  const ancestors = function* (element) {
    for (let node = parentNode(element); node; node = parentNode(node) ?? node.host) {
      if (node instanceof Element) yield node;
    }
  };

  // ------------------------------------------------------------------------------------------ looking
  const cut = (one, other) => {
    const left = Math.max(one.left, other.left), top = Math.max(one.top, other.top);
    const right = Math.min(one.right, other.right), bottom = Math.min(one.bottom, other.bottom);
    return right - left >= 1 && bottom - top >= 1 ? [left, top, right, bottom] : null;
  };
  const isField = (element) => [HTMLInputElement, HTMLTextAreaElement, HTMLSelectElement].some((kind) => element instanceof kind);
  const textBoxes = (element) => {
    const own = [...Element.prototype.getClientRects.call(element)].slice(0, MAX_BOXES);
    if (isField(element)) return element.value === "" ? [] : own.map((box) => cut(box, box)).filter(Boolean);
    const found = [];
    for (let node = firstChild(element); node && found.length < MAX_BOXES; node = nextSibling(node)) {
      if (!(node instanceof Text) || !node.data.trim()) continue;
      const range = new Range();
      range.selectNodeContents(node);
      for (const box of range.getClientRects()) found.push(...own.map((part) => cut(box, part)).filter(Boolean));
    }
    return found.slice(0, MAX_BOXES);
  };
  // The fill may be transparent, or the background image: then the letters do not have the text's colour.
  const isFilled = (element, style) =>
    !/(^rgba.*, 0|\/ 0)\)$/.test(style.webkitTextFillColor) &&
    style.webkitTextStrokeWidth === "0px" &&
    ![element, ...ancestors(element)].some((one) => getComputedStyle(one).backgroundClip.includes("text"));
  const inks = new Map();
  const look = (numbers) => {
    const elements = new Map(numbers.map((number) => [number, elementAt(number)]));
    return numbers.map((number) => {
      const element = elements.get(number);
      if (!(element instanceof HTMLElement) || !element.isConnected) return null;
      const style = getComputedStyle(element);
      const texts = isFilled(element, style) ? textBoxes(element) : [];
      if (texts.length === 0) return null;
      inks.set(number, { color: style.webkitTextFillColor, shadow: style.boxShadow });
      const { left, top, right, bottom } = boxOf(element);
      const above = new Set(ancestors(element));
      return {
        texts,
        box: [left, top, right, bottom],
        is_clear: /(rgba\(|\/ )/.test(style.webkitTextFillColor),
        within: numbers.filter((other) => above.has(elements.get(other))),
        font_px: Number.parseFloat(style.fontSize),
        weight: Number.parseInt(style.fontWeight, 10),
      };
    });
  };
  // The position at which a frame's document is drawn.
  const frame = (number) => {
    const element = elementAt(number), style = getComputedStyle(element), { left, top } = boxOf(element);
    // A frame that is not laid out has the width "auto".
    const px = (length) => Number.parseFloat(length) || 0;
    const inset = (side) => px(style[`border${side}Width`]) + px(style[`padding${side}`]);
    const width = px(style.width), height = px(style.height);
    const [x, y] = [left + inset("Left"), top + inset("Top")];
    const isBorderBox = style.boxSizing === "border-box";
    const [across, down] = isBorderBox ? [inset("Left") + inset("Right"), inset("Top") + inset("Bottom")] : [0, 0];
    return [x, y, x + width - across, y + height - down];
  };

  // ------------------------------------------------------------------------------------------ scrolling
  const before = new Map();
  const show = (number) => {
    const element = elementAt(number);
    for (const one of [element, ...ancestors(element)]) {
      if (!before.has(one)) before.set(one, [scrollLeft(one), scrollTop(one)]);
    }
    Element.prototype.scrollIntoView.call(element, { block: "center", inline: "nearest", behavior: "instant" });
  };
  const scrollBack = () => {
    for (const [element, [left, top]] of before) {
      if (scrollLeft(element) === left && scrollTop(element) === top) continue;
      Element.prototype.scrollTo.call(element, { left, top, behavior: "instant" });
    }
    before.clear();
  };

  // ------------------------------------------------------------------------------------------ painting
  // `clear` hides the letters; `fill` covers the text's whole box with its colour, under the same opacity, blending and
  // overlays as the letters; `mark` shows where the letters are, whatever their colour.
  const [INK, MOVES] = ["-webkit-text-fill-color", "transition-property"];
  const CHANGED = [INK, "text-shadow", "box-shadow"];
  const looks = {
    clear: () => ({ [INK]: "transparent" }),
    // A text's shadow is painted above its box.
    fill: ({ color, shadow }) => ({
      [INK]: "transparent",
      "text-shadow": "none",
      "box-shadow": `inset 0 0 0 100vmax ${color}${shadow === "none" ? "" : `, ${shadow}`}`,
    }),
    mark: () => ({ [INK]: MARK }),
  };
  const kept = new Map();
  const put = (style, name, [value, priority]) =>
    (value ? style.setProperty(name, value, priority) : style.removeProperty(name));
  const paint = (numbers, how) => {
    for (const number of numbers) {
      const element = elementAt(number), style = inlineStyle(element);
      if (!kept.has(element)) {
        const had = Element.prototype.hasAttribute.call(element, "style");
        const own = (name) => [name, [style.getPropertyValue(name), style.getPropertyPriority(name)]];
        kept.set(element, { had, own: Object.fromEntries([...CHANGED, MOVES].map(own)) });
      }
      const look = looks[how](inks.get(number)), { own } = kept.get(element);
      style.setProperty(MOVES, "none", "important");
      for (const name of CHANGED) put(style, name, name in look ? [look[name], "important"] : own[name]);
    }
  };
  const paintBack = () => {
    for (const [element, { own }] of kept) for (const name of CHANGED) put(inlineStyle(element), name, own[name]);
    // Compute styles before transitions are restored, so that none begins.
    for (const [element] of kept) void getComputedStyle(element).boxShadow;
    for (const [element, { had, own }] of kept) {
      put(inlineStyle(element), MOVES, own[MOVES]);
      // hasAttribute first, or the browser leaves an empty attribute.
      if (!had && Element.prototype.hasAttribute.call(element, "style")) Element.prototype.removeAttribute.call(element, "style");
    }
    kept.clear();
  };

  globalThis.sightlineContrast = { look, frame, show, scrollBack, paint, paintBack };
})()
