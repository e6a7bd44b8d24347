// Finds content that appears on hover, and whether it stays. Evaluated after live.js.
(() => {
  if (Object.hasOwn(globalThis, "sightlineHover")) return;
  const { elements, around, boxOf, isShown, isAsked, isWithin, matches, numberOf, pageBox, nameOf, textOf, short, drawn, isScripted } = sightlineLive;
  const MAX_SEEN = 6000;
  const LIKELY = "[aria-describedby],[aria-haspopup],[aria-expanded],[data-tooltip],[data-tippy-content],[data-bs-toggle=tooltip],"
    + "[data-toggle=tooltip],[class*=tooltip i],[class*=popover i],[class*=has-tip i],[onmouseover],[onmouseenter],nav li,abbr,dfn";
  // Selectors in the page's style sheets of elements on whose hover something is shown. Those of nested rules (`&`) depend
  // on the rule around them and are left out.
  const hovered = () => {
    const found = new Set();
    const read = (rules, left) => {
      for (const rule of rules) {
        if (left.count-- < 0) return;
        if (rule.cssRules) read(rule.cssRules, left);
        const shows = rule.style && ["display", "visibility", "opacity", "height", "max-height", "clip", "clip-path", "transform"].some((name) => rule.style.getPropertyValue(name));
        if (!shows || !rule.selectorText?.includes(":hover")) continue;
        for (const part of rule.selectorText.split(",")) {
          const at = part.indexOf(":hover"), rest = part.slice(at + 6);
          if (at >= 0 && /[\s>+~]/.test(rest)) found.add(part.slice(0, at).trim() || "*");
        }
      }
    };
    for (const sheet of document.styleSheets) try { read(sheet.cssRules, { count: 3000 }); } catch { /* of another site */ }
    return [...found].filter((selector) => selector !== "*" && !selector.includes("&") && CSS.supports(`selector(${selector})`)).slice(0, 50);
  };
  const triggers = (most) => {
    // Without scripts only styles and event attributes show anything.
    const likely = isScripted() ? LIKELY : "[onmouseover],[onmouseenter],[onpointerenter]";
    const selectors = [likely, ...hovered()].join(",");
    const found = [];
    for (const element of elements()) {
      if (found.length >= most) break;
      if (!matches(element, selectors) || !isShown(element) || !isAsked(element)) continue;
      const box = boxOf(element);
      if (box.width < 4 || box.height < 4 || box.width * box.height > innerWidth * innerHeight / 3) continue;
      found.push(numberOf(element));
    }
    return found;
  };
  const isSeen = (element) => {
    const box = boxOf(element);
    return box.width > 2 && box.height > 2 && isShown(element);
  };
  let before = new Set(), pointer = [0, 0];
  const remember = () => {
    before = new Set();
    let left = MAX_SEEN;
    for (const element of elements()) { if (left-- < 0) break; if (isSeen(element)) before.add(element); }
  };
  const show = async (number) => {
    const element = sightlineLive.kept(number);
    element.scrollIntoView({ block: "center", behavior: "instant" });
    await drawn();
    const box = boxOf(element);
    pointer = [box.left + box.width / 2, box.top + box.height / 2];
    return pointer;
  };
  // Where the pointer reaches a box first: the hovered element may be larger by now.
  const nearest = (to) => {
    const within = (value, low, high) => (high - low < 4 ? (low + high) / 2 : Math.min(Math.max(value, low + 2), high - 2));
    return [within(pointer[0], to.left, to.right), within(pointer[1], to.top, to.bottom)];
  };
  // The outermost element that has appeared since, with text of its own; null for none.
  const appeared = async (number) => {
    await drawn();
    const trigger = sightlineLive.kept(number);
    let left = MAX_SEEN;
    for (const element of elements()) {
      if (left-- < 0) break;
      if (before.has(element) || !isSeen(element) || isWithin(trigger, element)) continue;
      if (!(element instanceof HTMLElement) || textOf(element) === "") continue;
      const box = boxOf(element), [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
      const style = getComputedStyle(element);
      const isOver = [...around(element)].some((at) => ["absolute", "fixed"].includes(getComputedStyle(at).position));
      if (x < 0 || y < 0 || x > innerWidth || y > innerHeight) continue;
      return { number: numberOf(element), text: short(textOf(element)), at: nearest(box), covers: isOver && covers(element), takesPointer: style.pointerEvents !== "none", box: pageBox(element) };
    }
    return null;
  };
  // Whether it lies over text that was there before.
  const covers = (element) => {
    const box = boxOf(element);
    for (const other of elements()) {
      if (!before.has(other) || !(other instanceof HTMLElement) || isWithin(element, other) || isWithin(other, element)) continue;
      for (const node of other.childNodes) {
        if (node.nodeType !== 3 || node.data.trim() === "") continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const line of range.getClientRects())
          if (Math.min(line.right, box.right) - Math.max(line.left, box.left) > 3 && Math.min(line.bottom, box.bottom) - Math.max(line.top, box.top) > 3) return true;
      }
    }
    return false;
  };
  const isThere = async (number) => {
    await drawn();
    const element = sightlineLive.kept(number);
    return element.isConnected && isSeen(element);
  };
  globalThis.sightlineHover = { triggers, remember, show, appeared, isThere, name: (number) => short(nameOf(sightlineLive.kept(number)), 60) };
})()
