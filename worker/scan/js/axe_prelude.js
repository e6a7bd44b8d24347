// Replaces parts of axe-core that are quadratic in the page's size (axe_source.py). Evaluated right before it.
const sightlineClock = {
  end: Infinity,
  isLate: () => performance.now() > sightlineClock.end,
  check: () => { if (sightlineClock.isLate()) throw new Error("out of time"); },
};
// Forced colours change `color`, but not the computed fill, which axe-core uses as the text's colour. Prototypes here
// are those of the isolated world.
if (matchMedia("(forced-colors: active)").matches) {
  const read = CSSStyleDeclaration.prototype.getPropertyValue;
  CSSStyleDeclaration.prototype.getPropertyValue = function (name) {
    const isForced = name === "-webkit-text-fill-color" && read.call(this, "forced-color-adjust") !== "none";
    return read.call(this, isForced ? "color" : name);
  };
}
const sightlineMemoize = (run) => {
  let memo = new Map();
  const last = run.length - 1;
  const memoized = function (...given) {
    let found = memo;
    for (let i = 0; i < last; i++) {
      if (!found.has(given[i])) found.set(given[i], new Map());
      found = found.get(given[i]);
    }
    const key = last < 0 ? undefined : given[last];
    if (!found.has(key)) found.set(key, run.apply(this, given));
    return found.get(key);
  };
  memoized.clear = () => { memo = new Map(); };
  return memoized;
};
// Look-ups below a root in this run; the page does not change meanwhile.
let sightlineKnown = new WeakMap();
const sightlineOnce = (root, key, look) => {
  if (!sightlineKnown.has(root)) sightlineKnown.set(root, new Map());
  const known = sightlineKnown.get(root);
  if (!known.has(key)) known.set(key, look());
  return known.get(key);
};
// The canvas behind the page: white, unless the page requests a dark one or colours are forced.
const sightlineCanvas = (Color) => {
  const level = sightlineOnce(document, "canvas", () => {
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    if (matchMedia("(forced-colors: active)").matches) return isDark ? 0 : 255;
    const style = getComputedStyle(document.documentElement).colorScheme;
    const meta = document.querySelector('meta[name="color-scheme" i]');
    const schemes = (style === "normal" && meta ? meta.content : style).toLowerCase().split(/\s+/);
    return schemes.includes("dark") && (isDark || !schemes.includes("light")) ? 18 : 255;
  });
  return new Color(level, level, level, 1);
};
const sightlineFind = (root, selector, fits) =>
  sightlineOnce(root, `${fits ? "some " : ""}${selector}`, () => {
    const found = [...root.querySelectorAll(selector)];
    return fits ? found.filter(fits) : found;
  });
const sightlineTwo = (elements, fits) => {
  const first = elements.findIndex(fits), second = first < 0 ? -1 : elements.slice(first + 1).find(fits);
  return first < 0 ? [] : second ? [elements[first], second] : [elements[first]];
};
// The length of the text on an element's line, outside and inside widgets. A line ends at <br>, <hr> and blocks; for an
// element that is not in the walk, such as one inside a widget, the last line counts. Blocks are virtual nodes, new in
// each run.
const sightlineBlocks = new WeakMap();
const sightlineIsBreak = ({ nodeName }) => ["BR", "HR"].includes((nodeName || "").toUpperCase());
const sightlineLine = (block, element, isBlock, isVisible, typeOf, clean) => {
  if (!sightlineBlocks.has(block)) {
    const lineOf = new Map(), lines = [{ around: "", inWidgets: "" }];
    const look = (node) => {
      sightlineClock.check();
      const line = lines[lines.length - 1];
      if (node.nodeType === 3) line.around += node.nodeValue;
      if (node.nodeType !== 1) return true;
      lineOf.set(node, lines.length - 1);
      const endsLine = isBlock(node);
      if (endsLine || sightlineIsBreak(node)) lines.push({ around: "", inWidgets: "" });
      if (endsLine || !isVisible(node)) return false;
      if (typeOf(node) !== "widget") return true;
      lines[lines.length - 1].inWidgets += node.textContent;
      return false;
    };
    const walk = (node) => {
      if (node === block || look(node.actualNode)) node.children.forEach(walk);
    };
    walk(block);
    const sizes = lines.map((line) => ({ around: clean(line.around).length, inWidgets: clean(line.inWidgets).length }));
    sightlineBlocks.set(block, { lineOf, sizes });
  }
  const { lineOf, sizes } = sightlineBlocks.get(block);
  return sizes[lineOf.get(element) ?? sizes.length - 1];
};
