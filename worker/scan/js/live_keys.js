// For each stop of the keyboard walk: the focused element, whether its focus is visible, what covers it, the order. Also
// clickable elements, and the effects of single keys. Evaluated after live.js.
(() => {
  if (Object.hasOwn(globalThis, "sightlineKeys")) return;
  const { attribute, matches, above, around, isWithin, boxOf, elements, isShown, isAsked, nameOf, numberOf, pageBox, short, drawn, active, channels, luminance, hasScripts } = sightlineLive;
  const NATIVE = "a[href],area[href],button,input,select,textarea,summary,iframe,object,embed,audio[controls],video[controls],[contenteditable]:not([contenteditable=false])";
  const TABBABLE = `${NATIVE},[tabindex]`;
  const COMPOSITE = "[role=tablist],[role=listbox],[role=menu],[role=menubar],[role=tree],[role=grid],[role=treegrid],[role=radiogroup],[role=combobox],[role=toolbar]";
  const WRITES = "textarea,input:not([type=button],[type=submit],[type=reset],[type=image],[type=checkbox],[type=radio],[type=range],[type=color],[type=file]),[contenteditable]:not([contenteditable=false])";
  // Elements with inner stops that no script can see: a player's controls, the parts of a date, closed shadow trees.
  const PARTED = "audio,video,iframe,frame,object,embed,input[type=date],input[type=time],input[type=month],input[type=week],input[type=datetime-local]";
  const hasParts = (element) => matches(element, PARTED) || !matches(element, TABBABLE);
  const isTransparent = (color) => channels(color)[3] < 0.2;
  const differ = (one, other) => {
    const [a, b] = [luminance(one), luminance(other)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) > 1.3;
  };
  const behind = (element) => {
    for (const at of around(element)) {
      const { backgroundColor, backgroundImage } = getComputedStyle(at);
      if (backgroundImage !== "none") return null;
      if (!isTransparent(backgroundColor)) return backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  // Whether an outline is certainly visible; otherwise screenshots decide.
  const hasOutline = (element) => {
    const { outlineStyle, outlineWidth, outlineColor, outlineOffset, opacity } = getComputedStyle(element);
    if (outlineStyle === "none" || parseFloat(outlineWidth) < 1 || isTransparent(outlineColor) || parseFloat(opacity) < 0.5) return false;
    if (parseFloat(outlineOffset) < 0) return false;
    for (const at of around(above(element) ?? element)) if (getComputedStyle(at).overflowX !== "visible" && at !== document.body && at !== document.documentElement) return false;
    if (outlineStyle === "auto") return true;  // the browser's own ring, of a dark and a light line
    const color = above(element) && behind(above(element));
    return Boolean(color) && differ(outlineColor, color);
  };
  // The fixed content that covers all of the element, or null.
  const cover = (element) => {
    const box = boxOf(element);
    const [left, top] = [Math.max(box.left, 0), Math.max(box.top, 0)];
    const [right, bottom] = [Math.min(box.right, innerWidth), Math.min(box.bottom, innerHeight)];
    if (right - left < 2 || bottom - top < 2) return null;
    let over = null;
    for (const [x, y] of [[0.5, 0.5], [0.08, 0.12], [0.92, 0.12], [0.08, 0.88], [0.92, 0.88]]) {
      const at = document.elementFromPoint(left + (right - left) * x, top + (bottom - top) * y);
      let hit = at;
      while (hit?.shadowRoot) {
        const inner = hit.shadowRoot.elementFromPoint(left + (right - left) * x, top + (bottom - top) * y);
        if (!inner || inner === hit) break;
        hit = inner;
      }
      if (!hit || isWithin(hit, element) || isWithin(element, hit)) return null;
      const fixed = [...around(hit)].find((one) => ["fixed", "sticky"].includes(getComputedStyle(one).position));
      if (!fixed || isWithin(element, fixed)) return null;
      const style = getComputedStyle(fixed);
      if (parseFloat(style.opacity) < 0.5 || style.pointerEvents === "none") return null;
      over = fixed;
    }
    return over && short(over.tagName.toLowerCase() + (over.id ? `#${over.id}` : ""), 60);
  };
  // The element that received the focus last, even if it lost it at once.
  let came = null;
  addEventListener("focus", (event) => { if (event.isTrusted && event.target instanceof Element) came = event.composedPath()[0]; }, true);
  let last = null;
  // Why the focus moved backwards: a positive tabindex, or an order set by CSS; '' if it did not.
  const wayBack = (from, to) => {
    if (!from?.isConnected || from === to || from.getRootNode() !== to.getRootNode()) return "";
    const isBefore = (to.compareDocumentPosition(from) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0;
    const [a, b] = [boxOf(from), boxOf(to)];
    if (a.width < 1 || b.width < 1) return "";
    if (isBefore) return from.tabIndex > 0 || to.tabIndex > 0 ? "a positive tabindex" : "";
    if (from.tabIndex > 0 && to.tabIndex <= 0) return "";
    let common = from;
    while (common && !isWithin(to, common)) common = above(common);
    if (!common || common === from || common === to) return "";
    const { display, flexDirection, direction } = getComputedStyle(common);
    if (!/flex|grid/.test(display)) return "";
    const itemOf = (element) => { let at = element; while (at && above(at) !== common) at = above(at); return at; };
    const items = [itemOf(from), itemOf(to)];
    if (items.some((item) => !item)) return "";
    const isReordered = /reverse/.test(flexDirection) || items.some((item) => getComputedStyle(item).order !== "0");
    if (!isReordered) return "";
    const isUp = b.bottom <= a.top + 2, isSameRow = Math.abs(a.top - b.top) < Math.min(a.height, b.height);
    const isLeft = direction === "rtl" ? b.left >= a.right - 2 : b.right <= a.left + 2;
    return isUp || (isSameRow && isLeft) ? "an order set by CSS" : "";
  };
  const describe = (element) => {
    const { opacity } = getComputedStyle(element);
    const facts = {
      number: numberOf(element), name: short(nameOf(element) || element.tagName.toLowerCase(), 80), box: pageBox(element),
      place: (({ left, top, width, height }) => [left, top, width, height])(boxOf(element)),
      isFrame: /^(iframe|frame|object|embed)$/i.test(element.tagName), isAsked: isAsked(element),
      outline: hasOutline(element), cover: cover(element),
      writes: matches(element, WRITES) && !isTransparent(getComputedStyle(element).caretColor) && opacity !== "0",
      isNative: matches(element, NATIVE), hasParts: hasParts(element), back: wayBack(last, element), before: last ? short(nameOf(last), 40) : "",
    };
    last = element;
    return facts;
  };
  // Waits as long as a person takes to press the next key: a script may fetch the focus back.
  const OUT_MS = 300;
  const leftForGood = () => new Promise((resolve) => {
    const timer = setTimeout(done, hasScripts() ? OUT_MS : 0);
    function done() { clearTimeout(timer); removeEventListener("focus", done, true); resolve(); }
    addEventListener("focus", done, true);
  });
  // The focused element, once the focus has settled; `isOut`: the browser's own controls, after the last element, have it.
  const stop = async () => {
    await drawn();
    if (!document.hasFocus()) await leftForGood();
    const element = active(), dropped = came;
    came = null;
    if (!element && dropped instanceof Element && dropped.isConnected && document.hasFocus())
      return { isOut: false, isNone: true, dropped: { number: numberOf(dropped), name: short(nameOf(dropped), 80), isAsked: isAsked(dropped) } };
    if (!element) return { isOut: !document.hasFocus(), isNone: true };
    return { ...describe(element), isOut: !document.hasFocus() };
  };
  const toStart = () => {
    active()?.blur();
    const { body } = document, had = attribute(body, "tabindex");
    body.setAttribute("tabindex", "-1");
    body.focus({ preventScroll: true });
    if (had === null) body.removeAttribute("tabindex"); else body.setAttribute("tabindex", had);
    body.blur();
    scrollTo({ left: 0, top: 0, behavior: "instant" });
    last = came = null;
  };
  const isReachable = (element) => element.tabIndex >= 0 && !element.disabled && isShown(element) && !element.closest("[inert]");
  const tabbables = () => [...elements()].filter((one) => matches(one, TABBABLE) && isReachable(one)).length;
  const settled = async () => {
    await drawn();
    for (const one of document.getAnimations()) if (one instanceof CSSTransition) one.finish();
  };
  // Focuses an element with another number; null if there is no such element, or it does not take the focus.
  const focusUnreached = async (numbers) => {
    const known = new Set(numbers);
    const one = [...elements()].find((element) => matches(element, TABBABLE) && isReachable(element) && !known.has(numberOf(element)));
    one?.focus();
    await drawn();
    return one && active() === one ? numberOf(one) : null;
  };
  const focusOn = async (number) => {
    const element = sightlineLive.kept(number);
    element.focus();
    await settled();
    return { box: pageBox(element), isThere: active() === element };
  };
  const leave = async () => { active()?.blur(); await settled(); };

  // ------------------------------------------------------------------------------------------ pointers
  const WIDGET = "[role=button],[role=link],[role=checkbox],[role=switch]";
  const hasInside = (element) => {
    for (const one of element.querySelectorAll(TABBABLE)) if (isReachable(one)) return true;
    return Boolean(element.shadowRoot);
  };
  const clickables = (most) => {
    const found = [];
    for (const element of elements()) {
      if (found.length >= most) break;
      if (!(element instanceof HTMLElement) || matches(element, "html,body,main,label,option,script,style")) continue;
      const isMarked = element.hasAttribute("onclick") || matches(element, WIDGET);
      if (!isMarked) {
        if (getComputedStyle(element).cursor !== "pointer") continue;
        const outer = above(element);
        if (outer && getComputedStyle(outer).cursor === "pointer" && !outer.matches("html,body")) continue;
      }
      const box = boxOf(element);
      if (box.width < 6 || box.height < 6 || box.width * box.height > innerWidth * innerHeight * 0.6) continue;
      if (!isShown(element) || !isAsked(element) || [...around(element)].some((at) => matches(at, `${TABBABLE},label,${COMPOSITE},[inert],[aria-hidden=true],[disabled],[aria-disabled=true]`))) continue;
      if (hasInside(element)) continue;
      found.push({ number: numberOf(element), isSure: element.hasAttribute("onclick"), name: short(nameOf(element), 60), box: pageBox(element) });
    }
    return found;
  };

  // ------------------------------------------------------------------------------------------ keys that do something
  let seen;
  const watchKeys = () => {
    if (seen) return;
    seen = { events: [], changed: 0 };
    // Whether a key was taken is known once all have been asked: not in a listener, which others may come after.
    for (const type of ["keydown", "keypress", "keyup"])
      addEventListener(type, (event) => { if (event.isTrusted) seen.events.push(event); }, true);
    new MutationObserver((records) => { seen.changed += records.length; })
      .observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  };
  const didKey = async () => {
    await drawn();
    const did = { prevented: seen.events.some((event) => event.defaultPrevented), changed: seen.changed, focus: active() ? short(nameOf(active()), 40) || active().tagName : "", at: [Math.round(scrollX), Math.round(scrollY)] };
    seen.events.length = 0;
    seen.changed = 0;
    if (active()) active().blur();
    return did;
  };
  const TURN_OFF = /shortcut|hot ?key|keyboard|\bctrl\b|\bcontrol key|tastenk|tastatur|kurzbefehl|raccourci|clavier|atajo|teclado|atalho|scorciatoi|tastiera|sneltoets|toetsenbord|genväg|tangentbord|skrót|klawiatur|горячие|клавиатур|ショートカット|快捷键|단축키/iu;
  const turnsOff = () => [...elements()].some((element) =>
    matches(element, "button,input,select,a[href],summary,[role=button],[role=switch],[role=checkbox],[role=menuitem],[role=tab]") && isShown(element) && TURN_OFF.test(nameOf(element)));
  // Keys that the page's visible text mentions.
  const KEYS = /\b((?:(?:ctrl|control|strg|alt|shift|cmd)\s*\+\s*)+[a-z0-9]|esc(?:ape)?\b|f(?:[1-9]|1[0-2])\b)/giu;
  const advised = () => [...new Set([...sightlineLive.textOf(document.body).slice(0, 50000).matchAll(KEYS)].map(([key]) => key.toLowerCase().replace(/\s/g, "")))].slice(0, 6);
  const isHelp = (number) => {
    const element = sightlineLive.kept(number);
    return matches(element, "button,summary,[role=button]") || (matches(element, "a[href]") && /^(#|javascript:)/.test(attribute(element, "href")));
  };
  globalThis.sightlineKeys = {
    stop, toStart, tabbables, focusUnreached, focusOn, leave, clickables, watchKeys, didKey, turnsOff, advised, isHelp,
    ancestors: (number) => Math.min([...around(sightlineLive.kept(number))].length, 15),
    ancestor: (number, i) => [...around(sightlineLive.kept(number))][i],
    page: () => [document.documentElement.scrollWidth, document.documentElement.scrollHeight],
  };
})()
