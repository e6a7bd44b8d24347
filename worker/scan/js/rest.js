// Scrolls through a document once, and brings its animations to rest. Evaluated in Sightline's isolated world, once per
// document. A form's fields shadow its DOM properties, so the prototypes' getters are used.
(() => {
  if (Object.hasOwn(globalThis, "sightlineRest")) return;
  // A larger page is not audited.
  const MAX_ELEMENTS = 50000;
  const MAX_CONTAINERS = 100;
  // They scroll, but nothing in them waits to be seen.
  const NO_SCROLLER = "pre,textarea,select";
  const STEPS_A_CONTAINER = 20;
  const LEAST_PX = 40;
  // As a share of the visible height: more than half of an element as high as the viewport is visible in one of the
  // steps.
  const STRIDE = 0.75;
  // A longer one counts as endless: a ticker, a slow zoom.
  const LONGEST_MS = 60000;
  const FRAME_LIMIT_MS = 100;
  const getter = (prototype, name) => {
    const { get } = Object.getOwnPropertyDescriptor(prototype, name);
    return (object) => get.call(object);
  };
  const [scrollTop, scrollLeft, scrollHeight, scrollWidth, clientHeight, clientWidth, shadowRoot] = [
    "scrollTop", "scrollLeft", "scrollHeight", "scrollWidth", "clientHeight", "clientWidth", "shadowRoot",
  ].map((name) => getter(Element.prototype, name));
  const find = (from, selector) =>
    (from === document ? Document.prototype.querySelectorAll : DocumentFragment.prototype.querySelectorAll).call(from, selector);
  const root = () => getter(Document.prototype, "scrollingElement")(document) ?? document.documentElement;

  const elements = function* (from = document, left = { count: MAX_ELEMENTS }) {
    for (const element of find(from, "*")) {
      if (--left.count < 0) return;
      yield element;
      const inner = shadowRoot(element);
      if (inner) yield* elements(inner, left);
    }
  };
  // Resolves after a rendered frame, when intersection observers have run. Frames that are out of sight render none.
  const drawn = () => new Promise((resolve) => {
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = resolve;
      port2.postMessage(0);
    });
    setTimeout(resolve, FRAME_LIMIT_MS);
  });

  // ------------------------------------------------------------------------------------------ scrolling
  const before = new Map();
  const reached = new Map();
  const heights = new Map();
  const changed = new Set();
  const move = (element, left, top) => {
    if (!before.has(element)) before.set(element, [scrollLeft(element), scrollTop(element)]);
    Element.prototype.scrollTo.call(element, { left, top, behavior: "instant" });
  };
  // Positions are negative where scrolling starts at the bottom or at the right, as in right-to-left text.
  const moveOn = (element, left, top) => {
    move(element, left, top);
    const isAcross = left > 0 && scrollLeft(element) === 0, isDown = top > 0 && scrollTop(element) === 0;
    if (isAcross || isDown) move(element, isAcross ? -left : scrollLeft(element), isDown ? -top : scrollTop(element));
  };
  const scrolls = (overflow) => overflow === "auto" || overflow === "scroll";
  // Whether the element is shown and takes at least half the window: an application often scrolls in it instead.
  const fills = (element) => 2 * clientWidth(element) * clientHeight(element) >= innerWidth * innerHeight &&
    Element.prototype.checkVisibility.call(element, { opacityProperty: true, visibilityProperty: true });
  // The window scrolls by the body's overflow unless the root element has one.
  const isWindow = (element) => element === root() ||
    (element === document.body && getComputedStyle(document.documentElement).overflowY === "visible");
  // Whether a visitor can scroll the window sideways.
  const isWide = () => {
    const top = root();
    if (!top || scrollWidth(top) <= innerWidth + LEAST_PX) return false;
    const { overflowX } = getComputedStyle(document.documentElement);
    const ruling = overflowX === "visible" && document.body ? getComputedStyle(document.body).overflowX : overflowX;
    return ruling !== "hidden" && ruling !== "clip";
  };
  const containers = () => {
    const found = [];
    for (const element of elements()) {
      if (Element.prototype.matches.call(element, NO_SCROLLER)) continue;
      const height = clientHeight(element), width = clientWidth(element);
      if (height < LEAST_PX || width < LEAST_PX) continue;
      const down = scrollHeight(element) - height > LEAST_PX, across = scrollWidth(element) - width > LEAST_PX;
      if ((!down && !across) || isWindow(element)) continue;
      const style = getComputedStyle(element);
      if ((down && scrolls(style.overflowY)) || (across && scrolls(style.overflowX))) found.push(element);
      if (found.length === MAX_CONTAINERS) break;
    }
    return found;
  };
  const isOver = (left) => left.steps <= 0 || performance.now() >= left.until;
  // Continues scrolling where the last call stopped; returns the number of steps.
  const scrollOne = async (element, isRoot, left) => {
    if (!heights.has(element)) heights.set(element, scrollHeight(element));
    const height = isRoot ? innerHeight : clientHeight(element), width = isRoot ? innerWidth : clientWidth(element);
    const stride = Math.max(LEAST_PX, height * STRIDE), strideAcross = Math.max(LEAST_PX, width * STRIDE);
    let [x, y] = reached.get(element) ?? [0, 0], steps = 0;
    const begun = performance.now();
    const step = async () => { steps += 1; left.steps -= 1; await drawn(); };
    const most = isRoot || fills(element) ? Infinity : STEPS_A_CONTAINER;
    const isLeft = () => !isOver(left) && steps < most;
    while (isLeft() && y + height < scrollHeight(element) - 1) { y += stride; moveOn(element, 0, y); await step(); }
    while ((!isRoot || isWide()) && isLeft() && x + width < scrollWidth(element) - 1) {
      x += strideAcross;
      moveOn(element, x, scrollTop(element));
      await step();
    }
    reached.set(element, [x, y]);
    if (hasScripts() && globalThis.sightlineStillMs() < performance.now() - begun) changed.add(element);
    return steps;
  };
  const isAtEnd = (element) => {
    const [x, y] = reached.get(element);
    if (element === root()) {
      return y + innerHeight >= scrollHeight(element) - 1 && (!isWide() || x + innerWidth >= scrollWidth(element) - 1);
    }
    return y + clientHeight(element) >= scrollHeight(element) - 1 && x + clientWidth(element) >= scrollWidth(element) - 1;
  };
  // Returns the steps, and whether the window, a box that fills it, or one for which no step or time was left was not
  // scrolled to its end.
  const scroll = async (maxSteps, limitMs) => {
    const left = { steps: maxSteps, until: performance.now() + limitMs };
    const top = root();
    let steps = top ? await scrollOne(top, true, left) : 0;
    let isCut = Boolean(top) && !isAtEnd(top);
    for (const element of containers()) {
      // Scrolls only the window: boxes with hidden overflow would stay displaced.
      const box = Element.prototype.getBoundingClientRect.call(element);
      if (top && (box.bottom > innerHeight || box.top < 0)) move(top, 0, scrollTop(top) + box.top);
      steps += await scrollOne(element, false, left);
      isCut ||= !isAtEnd(element) && (isOver(left) || fills(element));
    }
    return { steps, is_cut: isCut };
  };
  // Whether a scroller has content that was not reached, and grew or changed the page while it was scrolled: usually a
  // feed, or a list that draws the rows in sight.
  const goesOn = () => [...reached].some(([element, [, y]]) => {
    const height = element === root() ? innerHeight : clientHeight(element), whole = scrollHeight(element);
    return (whole > heights.get(element) + LEAST_PX || changed.has(element)) && y + height < whole - LEAST_PX;
  });
  // Scrolls back; returns `goesOn`.
  const restore = async () => {
    const hasMore = goesOn();
    if (before.size === 0) return hasMore;
    for (const [element, [left, top]] of [...before].reverse()) {
      Element.prototype.scrollTo.call(element, { left, top, behavior: "instant" });
    }
    before.clear();
    await drawn();
    return hasMore;
  };

  // ------------------------------------------------------------------------------------------ animations
  // The moment at which an endless animation shows most: its most opaque keyframe, else its start.
  const bestShown = (effect) => {
    let best = 0, most = -1;
    for (const frame of effect.getKeyframes()) {
      const opacity = frame.opacity === undefined ? 0 : Number.parseFloat(frame.opacity);
      if (opacity > most) [best, most] = [frame.computedOffset, opacity];
    }
    return best;
  };
  // A paused animation may still be painted at another moment. For screenshots it is replaced by its styles, after
  // axe-core has read the page's own and when no script of the page can see it.
  const held = new Set();
  // Those that a visitor would see for longer than WCAG 2.2.2 allows without a control: live_motion.js.
  const SEEN_MS = 5000;
  const long = new Set();
  const hold = () => {
    if (hasScripts() && !Object.hasOwn(globalThis, "sightlineFrozen")) return;
    for (const animation of held) {
      try {
        animation.commitStyles();
        animation.cancel();
      } catch {} // of a pseudo-element: it stays paused
    }
    held.clear();
  };
  const rest = (animation) => {
    if (animation.playState !== "running" || !animation.effect) return false;
    const timing = animation.effect.getComputedTiming();
    const isTimed = animation.timeline instanceof DocumentTimeline;
    if (isTimed && timing.endTime > SEEN_MS) long.add(animation);
    try {
      if (!isTimed || (Number.isFinite(timing.endTime) && timing.endTime <= LONGEST_MS && animation.playbackRate !== 0)) {
        animation.finish();
      } else {
        const offset = bestShown(animation.effect), isBack = timing.direction.endsWith("reverse");
        animation.pause();
        animation.currentTime = timing.delay + (isBack ? 1 - offset : offset) * Number(timing.duration) * 0.999999;
        held.add(animation);
      }
    } catch {
      return false; // its timing permits neither
    }
    return true;
  };
  const finish = () => {
    const roots = [document];
    for (const element of elements()) if (shadowRoot(element)) roots.push(shadowRoot(element));
    let moved = 0;
    for (const one of roots) {
      const all = one === document ? Document.prototype.getAnimations.call(document) : one.getAnimations();
      for (const animation of all) moved += rest(animation) ? 1 : 0;
    }
    return moved;
  };

  const isTall = () => {
    const top = root();
    return Boolean(top) && scrollHeight(top) > innerHeight + 1;
  };
  // Whether style sheets depend on `scripting`: they would change when scripts are stopped.
  const dependsOnScripts = (media) => media.mediaText.includes("scripting");
  const hasRuleForScripts = (rules) => [...rules].some((rule) => (rule.media && dependsOnScripts(rule.media)) ||
    (rule.styleSheet && asksForScripts(rule.styleSheet)) || (rule.cssRules?.length > 0 && hasRuleForScripts(rule.cssRules)));
  const asksForScripts = (sheet) => {
    try {
      return dependsOnScripts(sheet.media) || hasRuleForScripts(sheet.cssRules);
    } catch {
      return false; // a stylesheet of another origin
    }
  };
  const styleSheets = () => [...getter(Document.prototype, "styleSheets")(document), ...getter(Document.prototype, "adoptedStyleSheets")(document)];
  const hasScripts = () => Object.hasOwn(globalThis, "sightlineStillMs");
  // The time since scripts last changed content and styles. Without scripts, the content came while the page was loaded,
  // and no style changes.
  const changes = () => (hasScripts()
    ? { still_ms: globalThis.sightlineStillMs(), styled_ms: globalThis.sightlineStyledMs() }
    : { still_ms: performance.now(), styled_ms: 1e9 });
  const hasLazy = () => elements().some((one) => Element.prototype.matches.call(one, "iframe[loading=lazy i], img[loading=lazy i]"));
  globalThis.sightlineRest = {
    scroll,
    restore,
    drawn,
    hold,
    long: () => [...long],
    changes,
    // Without scripts, only lazy images and frames depend on scrolling.
    survey: () => ({
      frames: window.length,
      is_worth_scrolling: (hasScripts() ? innerHeight >= LEAST_PX : hasLazy()) && (isTall() || isWide() || containers().length > 0),
    }),
    finish: () => ({ finished: finish(), may_freeze: hasScripts() && !styleSheets().some(asksForScripts), ...changes() }),
  };
})()
