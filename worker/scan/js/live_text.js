// Finds text that is cut off, overlaps or lies beyond the window's edge, in a smaller window or with more spacing.
// Evaluated after live.js. Every function reads the current layout.
(() => {
  if (Object.hasOwn(globalThis, "sightlineText")) return;
  const { above, around, boxOf, elements, isShown, isAsked, numberOf, matches, short } = sightlineLive;
  const MAX_TEXTS = 4000, MAX_FOUND = 20, HIDES = new Set(["hidden", "clip"]), SCROLLS = new Set(["auto", "scroll"]);
  // Of a line's height or a letter's width: less is a rim or a descender.
  const CUT_SHARE = 0.3;
  // Text for screen readers only, or collapsed.
  const isAside = (element) => [...around(element)].some((at) => {
    const style = getComputedStyle(at), box = boxOf(at);
    if (style.clip !== "auto" && style.position === "absolute") return true;
    if (style.clipPath !== "none" && (box.width <= 2 || box.height <= 2)) return true;
    return (HIDES.has(style.overflowX) && box.width <= 2) || (HIDES.has(style.overflowY) && box.height <= 2);
  });
  const texts = () => {
    const found = [];
    for (const element of elements()) {
      if (found.length >= MAX_TEXTS) break;
      if (!(element instanceof HTMLElement) || matches(element, "script,style,noscript,template,option,title")) continue;
      const nodes = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim() !== "");
      if (nodes.length === 0 || !isShown(element)) continue;
      const lines = nodes.flatMap((node) => {
        const range = document.createRange();
        range.selectNodeContents(node);
        return [...range.getClientRects()].filter((box) => box.width > 1 && box.height > 1);
      });
      if (lines.length > 0) found.push({ element, lines, text: short(nodes.map((node) => node.data).join(" ")) });
    }
    return found;
  };
  const isMoved = (element) => {
    const { transform, translate } = getComputedStyle(element);
    return transform !== "none" || translate !== "none";
  };
  // The elements around a text that cut off what sticks out of them, innermost first, until one that scrolls.
  const cutters = (element) => {
    const found = [];
    let position = "static", across = true, down = true;
    for (const at of around(element)) {
      const style = getComputedStyle(at);
      if (style.display === "contents" || style.display === "inline") continue;
      const holds = !(position === "absolute" && style.position === "static") && position !== "fixed";
      if (holds) {
        const isRoot = at === document.documentElement || at === document.body;
        if (isRoot) break;
        if (SCROLLS.has(style.overflowX)) across = false;
        if (SCROLLS.has(style.overflowY)) down = false;
        const x = across && HIDES.has(style.overflowX), y = down && HIDES.has(style.overflowY);
        if (x || y) found.push({ at, style, x, y });
        position = style.position === "static" || style.position === "relative" || style.position === "sticky" ? "static" : style.position;
      }
      if (isMoved(at) && at !== element) break;  // a slide: what is cut off comes by itself or on a button
      if (!across && !down) break;
    }
    return found;
  };
  const cutOf = ({ element, lines }) => {
    for (const { at, style, x, y } of cutters(element)) {
      const box = boxOf(at);
      const [left, top] = [box.left + at.clientLeft, box.top + at.clientTop];
      const [right, bottom] = [left + at.clientWidth, top + at.clientHeight];
      if (at.clientWidth <= 2 || at.clientHeight <= 2) return null;
      const size = parseFloat(getComputedStyle(element).fontSize) || 16;
      const seen = (line) => line.left < right && line.right > left && line.top < bottom && line.bottom > top;
      if (!lines.some(seen)) continue;
      if (y && style.webkitLineClamp === "none") {
        const worst = Math.max(...lines.map((line) => Math.max(line.bottom - bottom, top - line.top)));
        const line = lines.find((one) => one.bottom - bottom > one.height * CUT_SHARE || top - one.top > one.height * CUT_SHARE);
        if (line) return { at, by: Math.round(worst), way: "below", room: Math.round(bottom - top) };
      }
      if (x && style.textOverflow !== "ellipsis") {
        const worst = Math.max(...lines.map((line) => Math.max(line.right - right, left - line.left)));
        if (worst > size * 0.6) return { at, by: Math.round(worst), way: "at the side", room: Math.round(right - left) };
      }
    }
    return null;
  };
  // The visible parts of the lines within the boxes around them that scroll or cut off.
  const seenOf = ({ element, lines }) => {
    let [left, top, right, bottom] = [-Infinity, -Infinity, Infinity, Infinity];
    for (const at of around(element)) {
      const { overflowX, overflowY, display } = getComputedStyle(at);
      if (display === "inline" || (overflowX === "visible" && overflowY === "visible") || at === document.documentElement || at === document.body) continue;
      const box = boxOf(at);
      if (overflowX !== "visible") [left, right] = [Math.max(left, box.left), Math.min(right, box.right)];
      if (overflowY !== "visible") [top, bottom] = [Math.max(top, box.top), Math.min(bottom, box.bottom)];
    }
    return lines.map((line) => {
      const seen = { left: Math.max(line.left, left), top: Math.max(line.top, top), right: Math.min(line.right, right), bottom: Math.min(line.bottom, bottom) };
      return { ...seen, height: seen.bottom - seen.top };
    }).filter((line) => line.right - line.left > 2 && line.height > 2);
  };
  const overlapsOf = (all) => {
    const boxes = all.flatMap((text, i) => seenOf(text).map((line) => ({ i, line })))
      .filter(({ i }) => ![...around(all[i].element)].some((at) => ["fixed", "sticky", "absolute"].includes(getComputedStyle(at).position)))
      .sort((one, other) => one.line.top - other.line.top);
    const found = new Map();
    boxes.forEach((one, k) => {
      for (let j = k + 1; j < boxes.length && boxes[j].line.top < one.line.bottom; j++) {
        const other = boxes[j], [a, b] = [all[one.i].element, all[other.i].element];
        if (one.i === other.i || a.contains(b) || b.contains(a)) continue;
        const wide = Math.min(one.line.right, other.line.right) - Math.max(one.line.left, other.line.left);
        const high = Math.min(one.line.bottom, other.line.bottom) - other.line.top;
        const least = Math.min(one.line.height, other.line.height);
        if (wide > 4 && high > least * CUT_SHARE) found.set(b, { over: a, by: Math.round(high) });
      }
    });
    return found;
  };
  const known = { cut: new Set(), own: new Set(), overlap: new Set() };
  // Remembers what is cut off and overlaps before anything is changed.
  const remember = () => {
    const all = texts().filter(({ element }) => !isAside(element));
    for (const text of all) {
      const cut = cutOf(text);
      if (cut) { known.cut.add(text.element); if (cut.at === text.element) known.own.add(text.element); }
    }
    for (const element of overlapsOf(all).keys()) known.overlap.add(element);
  };
  const describe = (found) => ({
    count: found.length,
    found: found.slice(0, MAX_FOUND).map(({ element, ...facts }) => ({ number: numberOf(element), ...facts })),
  });
  const damaged = (withOwn) => {
    const all = texts().filter(({ element }) => isAsked(element) && !isAside(element));
    const found = [];
    for (const text of all) {
      const cut = cutOf(text);
      // What is cut off at any size counts where the text's own box does it: a box further out may be a carousel.
      if (!cut || (known.cut.has(text.element) && !(withOwn && known.own.has(text.element)))) continue;
      found.push({ element: text.element, kind: "cut", text: text.text, by: cut.by, way: cut.way, room: cut.room });
    }
    const cut = new Set(found.map(({ element }) => element));
    for (const [element, { over, by }] of overlapsOf(all)) {
      if (known.overlap.has(element) || cut.has(element)) continue;
      found.push({ element, kind: "overlap", text: short(element.textContent), by, over: short(over.textContent, 40) });
    }
    return found;
  };

  const TWO_WAYS = "table,[role=grid],[role=table],[role=treegrid],img,picture,svg,canvas,video,iframe,object,embed,math,pre,code,"
    + "[role=toolbar],[role=img],[role=application],[role=menubar],[class*=leaflet],[class*=mapbox],[class*=gm-style]";
  const mayScroll = (element) => [...around(element)].some((at) => {
    if (matches(at, TWO_WAYS)) return true;
    if (at === document.documentElement || at === document.body) return false;
    const { overflowX } = getComputedStyle(at);
    return SCROLLS.has(overflowX) || HIDES.has(overflowX);
  });
  const root = () => document.scrollingElement ?? document.documentElement;
  // What does not fit into a narrow window, with the texts that are damaged there.
  const narrow = () => {
    const wide = tooWide(), known = new Set(wide.map(({ element }) => element));
    return [...wide, ...damaged(false).filter(({ element }) => !known.has(element))];
  };
  const tooWide = () => {
    const wide = root().scrollWidth, room = document.documentElement.clientWidth;
    const isSideways = !getComputedStyle(document.documentElement).writingMode.startsWith("horizontal");
    if (isSideways || wide <= room + 4) return [];
    const found = [];
    for (const { element, lines, text } of texts()) {
      if (!isAsked(element) || mayScroll(element) || isAside(element)) continue;
      const right = Math.max(...lines.map((line) => line.right)) + scrollX;
      if (right <= room + 4 || Math.min(...lines.map((line) => line.left)) + scrollX >= room * 3) continue;
      found.push({ element, kind: "wide", text, by: Math.round(right - room), room });
    }
    for (const element of document.querySelectorAll("input,select,textarea,button")) {
      const box = boxOf(element);
      if (!isShown(element) || !isAsked(element) || mayScroll(element) || box.right + scrollX <= room + 4 || box.width < 2) continue;
      if (!found.some((one) => one.element === element))
        found.push({ element, kind: "wide", text: short(sightlineLive.nameOf(element)), by: Math.round(box.right + scrollX - room), room });
    }
    return found;
  };

  // WCAG 1.4.12: these sizes together. No content policy applies to a constructed sheet.
  const SPACING = "* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important }"
    + " p { margin-bottom: 2em !important }";
  let sheet;
  const roots = function* () {
    yield document;
    for (const element of elements()) if (element.shadowRoot) yield element.shadowRoot;
  };
  const space = (isOn) => {
    if (!sheet) { sheet = new CSSStyleSheet(); sheet.replaceSync(SPACING); }
    for (const one of roots()) {
      const others = [...one.adoptedStyleSheets].filter((known) => known !== sheet);
      one.adoptedStyleSheets = isOn ? [...others, sheet] : others;
    }
  };
  globalThis.sightlineText = {
    remember, space, damaged: (withOwn) => describe(damaged(withOwn)), narrow: () => describe(narrow()),
  };
})()
