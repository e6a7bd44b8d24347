// Finds messages that a step of a journey caused and that no live region announces (live/status.py). Evaluated after
// live.js; `turn` is called before each step and after the last one.
(() => {
  if (Object.hasOwn(globalThis, "sightlineStatus")) return;
  const { attribute, matches, around, isWithin, elements, isShown, textOf, short, numberOf, isAsked, active } = sightlineLive;
  const MAX_CHARS = 200, MAX_MESSAGES = 12;
  // With more new texts than these, new content was shown: only what is named like a message is one.
  const MAX_BLOCKS = 3;
  const ANNOUNCES = "output, [role=status], [role=alert], [role=log], [aria-live]:not([aria-live=off])";
  const NO_MESSAGE = "dialog, [role=dialog], [role=alertdialog], [role=tooltip], [role=menu], [role=listbox], [role=timer], " +
    "[role=marquee], [role=progressbar], [aria-hidden=true], [popover], script, style, noscript, textarea, select, option, title";
  const OPENS = "summary, [aria-expanded], [aria-haspopup], [role=tab], [role=menuitem], [role=option]";
  const USABLE = "a[href], button, input, select, textarea, [tabindex]";
  const NAMED = /status|messag|alert|error|toast|noti[cf]|success|warn|feedback|snack|flash|confirm|\bcount\b/i;
  const fits = (element, selector) => [...around(element)].some((at) => matches(at, selector));
  const squeeze = (text) => text.replace(/\s+/g, " ").trim();

  const texts = function* () {
    for (const element of elements()) {
      const own = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "");
      if (own.length > 0 && isShown(element)) for (const node of own) yield [node, element];
    }
  };
  const blockOf = (element) => {
    for (const at of around(element)) if (!/^(inline|contents)/.test(getComputedStyle(at).display)) return at;
    return element;
  };
  const belongsTo = (focused, block) => {
    if (!focused) return false;
    const ids = ["aria-labelledby", "aria-describedby", "aria-errormessage", "aria-controls"]
      .flatMap((name) => (attribute(focused, name) ?? "").split(/\s+/)).filter(Boolean);
    return isWithin(focused, block) || isWithin(block, focused) || ids.some((id) => fits(block, `#${CSS.escape(id)}`));
  };
  const isNamed = (block) => [block, block.parentElement].some((at) => at && NAMED.test(`${attribute(at, "id")} ${attribute(at, "class")}`));

  let before = null, announced = false;
  const found = new Map();
  const note = (records) => {
    for (const { target, addedNodes } of announced ? [] : records) {
      for (const node of [target, ...addedNodes]) {
        const element = node instanceof Element ? node : node.parentElement;
        // The text of an element may be that of the whole page: it is read of live regions only.
        const region = element && (fits(element, ANNOUNCES) ? element : node !== target && element.querySelector(ANNOUNCES));
        if (region && region.textContent.trim()) announced = true;
      }
    }
  };
  const observer = new MutationObserver(note);

  const compare = () => {
    note(observer.takeRecords());
    observer.disconnect();
    if (before.place !== location.pathname + location.search) return;
    const blocks = new Set();
    for (const [node, element] of texts()) {
      if (before.nodes.get(node) === node.data || before.texts.has(squeeze(node.data))) continue;
      if (fits(element, ANNOUNCES)) announced = true;
      else if (!fits(element, NO_MESSAGE)) blocks.add(blockOf(element));
    }
    if (announced) return;
    const focused = active();
    const isContent = blocks.size > MAX_BLOCKS || (focused && fits(focused, OPENS));
    for (const block of blocks) {
      const text = squeeze(textOf(block));
      if (text.length > MAX_CHARS || !/\p{L}/u.test(text) || belongsTo(focused, block)) continue;
      if (!isNamed(block) && (isContent || block.querySelector(USABLE))) continue;
      found.set(block, { text, step: before.step });
    }
  };
  globalThis.sightlineStatus = {
    // Compares the page with what it was before the preceding step. A `step` is '' if it can cause no message.
    turn: (step, isNewState) => {
      if (before) compare();
      if (isNewState) found.clear();
      [before, announced] = [null, false];
      if (!step) return;
      before = { step, place: location.pathname + location.search, nodes: new WeakMap(), texts: new Set() };
      for (const [node] of texts()) {
        before.nodes.set(node, node.data);
        before.texts.add(squeeze(node.data));
      }
      observer.observe(document, { childList: true, characterData: true, subtree: true });
    },
    look: () => {
      const shown = [...found].filter(([block, { text }]) => block.isConnected && isShown(block) && isAsked(block) && squeeze(textOf(block)) === text);
      return { count: shown.length, found: shown.slice(0, MAX_MESSAGES)
        .map(([block, { text, step }]) => ({ number: numberOf(block), text: short(text, MAX_CHARS), step })) };
    },
  };
})()
