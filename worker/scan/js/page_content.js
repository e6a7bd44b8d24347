// Reads the page's content, and finds the parts that no rule can see; once, after the audit. Evaluates to a function of
// the request's `include` and `exclude`, and of the most possible hosts of closed shadow roots to list, that returns one
// JSON-able object, of bounded size. Named elements can shadow properties of forms and of `document`, so the prototypes'
// getters are used.
(({ include, exclude, max_hosts: MAX_HOSTS }) => {
  // A larger page is not audited.
  const MAX_ELEMENTS = 50000;
  const MAX_STEPS = 20000, MAX_TEXT = 4000, MAX_LISTED = 20, LONG_TEXT = 80, SPARSE_TEXT = 300;
  const of = (prototype, name) => {
    const get = Object.getOwnPropertyDescriptor(prototype, name).get;
    return (node) => get.call(node);
  };
  const nameOf = of(Element.prototype, "localName"), shadowOf = of(Element.prototype, "shadowRoot");
  const parentOf = of(Node.prototype, "parentElement"), firstOf = of(Node.prototype, "firstChild");
  const bodyOf = of(Document.prototype, "body"), dataOf = of(CharacterData.prototype, "data");
  const firstElementOf = of(Element.prototype, "firstElementChild"), rootOf = Node.prototype.getRootNode;
  const hostOf = of(ShadowRoot.prototype, "host");
  const attribute = (element, name) => Element.prototype.getAttribute.call(element, name);
  const matches = (element, selector) => Element.prototype.matches.call(element, selector);
  const closest = (element, selector) => Element.prototype.closest.call(element, selector);
  const boxOf = (element) => Element.prototype.getBoundingClientRect.call(element);
  const first = (selector) => Document.prototype.querySelector.call(document, selector);
  const all = (selector) => [...Document.prototype.querySelectorAll.call(document, selector)];
  const textOf = of(Node.prototype, "textContent");
  const cut = (text, length = 300) => String(text).replace(/\s+/g, " ").trim().slice(0, length).toWellFormed();

  const isBox = (box) => box.width > 1 && box.height > 1 && box.right + scrollX > 0 && box.bottom + scrollY > 0;
  const isShown = (element) => {
    let shown = element;
    while (shown && getComputedStyle(shown).display === "contents") shown = parentOf(shown);
    const how = { opacityProperty: true, visibilityProperty: true };
    return !shown || Element.prototype.checkVisibility.call(shown, how);
  };
  const isSeen = (element) => isBox(boxOf(element)) && isShown(element);
  // Whether the element is in a part of the page, also across the edges of shadow trees.
  const isWithin = (element, part) => {
    for (let at = element, root; at; at = root instanceof ShadowRoot ? hostOf(root) : null) {
      if (closest(at, part)) return true;
      root = rootOf.call(at);
    }
    return false;
  };
  const isIn = (element) => {
    try {
      return (include.length === 0 || include.some((part) => isWithin(element, part))) &&
        !exclude.some((part) => isWithin(element, part));
    } catch { return true; }
  };
  const where = (element) => {
    const id = attribute(element, "id"), kind = attribute(element, "class");
    const mark = id ? `#${id}` : kind ? `.${kind.trim().split(/\s+/)[0]}` : "";
    return cut(nameOf(element) + mark, 100);
  };

  const MEDIA = new Set(["img", "picture", "video", "audio", "iframe", "frame", "object", "embed", "svg", "math"]);
  const CONTROLS = new Set(["input", "select", "textarea", "button", "progress", "meter"]);
  const NO_TEXT = new Set(["script", "style", "noscript", "template", "title", "option", "datalist"]);
  const BUSY = "[aria-busy=true i],[role=progressbar i],progress:not([value]),[class*=spinner i],[class*=skeleton i]," +
    "[class*=loader i],[class*=loading i],[class*=placeholder-glow i],[class~=spin i],[class*=shimmer i]";

  // Walks the tree below `root`, including open shadow roots, until there is enough text.
  const look = (root, found, limit, steps = { done: 0 }) => {
    const walker = Document.prototype.createTreeWalker.call(document, root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (++steps.done > MAX_STEPS || found.text.length > limit) return found;
      if (node instanceof Element) lookAtElement(node, found, limit, steps);
      else lookAtText(node, found);
    }
    return found;
  };
  const range = new Range();
  const lookAtText = (node, found) => {
    const text = dataOf(node).trim(), parent = parentOf(node);
    if (text === "" || (parent && NO_TEXT.has(nameOf(parent)))) return;
    range.selectNodeContents(node);
    const isVisible = isBox(range.getBoundingClientRect()) && (!parent || (isShown(parent) && !isClipped(parent)));
    if (!isVisible) { found.hidden += text.length; return; }
    found.text += `${cut(text, MAX_TEXT)}\n`;
    if (text.length >= LONG_TEXT) found.prose += text.length;
  };
  const isClipped = (element) => {
    const box = boxOf(element);
    return box.width > 0 && box.width <= 1 && box.height <= 1;
  };
  const lookAtElement = (element, found, limit, steps) => {
    const shadow = shadowOf(element), name = nameOf(element);
    if (shadow) look(shadow, found, limit, steps);
    if (name === "canvas") {
      if (isSeen(element) && !firstElementOf(element)) {
        const box = boxOf(element);
        found.canvas = Math.max(found.canvas, (box.width * box.height) / (innerWidth * innerHeight));
      }
    } else if (MEDIA.has(name) || CONTROLS.has(name)) {
      if (name === "input" && matches(element, "[type=hidden i]")) return;
      if (!isSeen(element)) found.hidden += 1;
      else if (closest(element, BUSY)) found.busy += 1;
      else if (MEDIA.has(name)) found.media += 1;
      else found.controls += 1;
    }
  };
  const nothing = () => ({ text: "", prose: 0, hidden: 0, media: 0, controls: 0, canvas: 0, busy: 0 });

  const body = bodyOf(document);
  const shown = body ? look(body, nothing(), MAX_TEXT) : nothing();
  // Without a main part, the element into which an application of scripts renders, if hardly anything else is shown.
  const headings = all("h1, h2, [role=heading i]").slice(0, 50).filter(isSeen).slice(0, 3);
  const isSparse = headings.length === 0 && shown.text.length <= SPARSE_TEXT;
  const main = first("main, [role=main i]") ?? (isSparse ? first("#root, #app, #__next, #__nuxt, #___gatsby, app-root") : null);
  const mainShown = main && isShown(main) ? look(main, nothing(), 200) : null;
  // Of main parts of which nothing is shown, as behind a gate: how much there is.
  const inMains = { done: 0 };
  const mains = all("main, [role=main i]").slice(0, 10).map((part) => look(part, nothing(), 200, inMains));
  const isMainHidden = mains.every((part) => part.text === "" && part.media + part.controls + part.canvas === 0);
  const hiddenInMain = isMainHidden ? mains.reduce((sum, part) => sum + part.hidden, 0) : 0;
  const isDisplayed = (element) => Element.prototype.checkVisibility.call(element);
  const seen = (selector) => all(selector).slice(0, 200).filter(isSeen);

  // Elements that may host a closed shadow root, which a script cannot tell; the browser is asked about them.
  // One that is no custom element of the page's scripts can have one by markup; few are asked about, as some frameworks
  // name all their elements so.
  const hosts = [], unlikely = [], openRoots = [];
  const HOSTS = new Set(["article", "aside", "blockquote", "div", "footer", "header", "main", "nav", "p", "section", "span"]);
  const mayHide = (element, name) => {
    if (name.includes("-") && matches(element, ":defined")) return true;
    if (!HOSTS.has(name)) return false;
    const child = firstElementOf(element);
    // A light child without a slot has no computed style.
    if (child) return !isDisplayed(child) && getComputedStyle(child).display === "";
    return firstOf(element) === null && isSeen(element);
  };
  const findHosts = (root, steps) => {
    const walker = Document.prototype.createTreeWalker.call(document, root, NodeFilter.SHOW_ELEMENT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (++steps.done > MAX_ELEMENTS) return;
      const shadow = shadowOf(node);
      if (shadow) {
        openRoots.push(shadow);
        findHosts(shadow, steps);
        continue;
      }
      const name = nameOf(node);
      if (hosts.length < MAX_HOSTS && mayHide(node, name) && isIn(node)) hosts.push(node);
      else if (unlikely.length < MAX_LISTED * 2 && name.includes("-") && isIn(node)) unlikely.push(node);
    }
  };
  findHosts(document, { done: 0 });
  hosts.push(...unlikely);
  globalThis.sightlineHosts = hosts;

  // An element of these names in SVG or MathML is none of these.
  const kindOf = (frame) => [HTMLIFrameElement, HTMLFrameElement, HTMLObjectElement].find((kind) => frame instanceof kind);
  const windowOf = (frame) => (kindOf(frame) ? of(kindOf(frame).prototype, "contentWindow")(frame) : null);
  const documentOf = (frame) => of(kindOf(frame).prototype, "contentDocument")(frame);
  const resolved = (text) => { try { return new URL(text, of(Node.prototype, "baseURI")(document)).href; } catch { return ""; } };
  const FRAMES = "iframe[src], iframe[srcdoc], frame[src]";
  const framesIn = (root) => DocumentFragment.prototype.querySelectorAll.call(root, FRAMES);
  const allFrames = [...all(FRAMES), ...openRoots.flatMap((root) => [...framesIn(root)])].filter(kindOf);
  const frames = allFrames.filter((frame) => isIn(frame) && isSeen(frame)).slice(0, 200).map((frame) => {
    const inside = documentOf(frame);
    const src = (attribute(frame, "src") ?? "").trim();  // an empty one is none
    const url = attribute(frame, "srcdoc") !== null ? "about:srcdoc" : src && resolved(src);
    const isEmpty = inside !== null && of(Document.prototype, "URL")(inside) === "about:blank";
    return { url: cut(url, 2000), is_empty: isEmpty && /^(https?:|about:srcdoc)/.test(url), where: where(frame) };
  });
  const embedded = all("object[data], embed[src]").filter((one) => isIn(one) && isSeen(one)).slice(0, MAX_LISTED).map((one) => ({
    url: cut(resolved(attribute(one, "data") ?? attribute(one, "src")), 2000),
    type: cut(attribute(one, "type") ?? "", 100).toLowerCase(),
    has_window: windowOf(one) !== null,
    where: where(one),
  }));

  // A modal hides the rest of the page from rules only if the rest is inert, or if its main part (without one: most of
  // it) is hidden from assistive technology, as libraries older than `inert` do: rules skip both.
  const SUBSTANCE = "a[href], button, input, select, img, h1, h2, h3, p";
  const DIALOG = "[aria-modal=true i], [role=dialog i], [role=alertdialog i]", HIDDEN = "[aria-hidden=true i]";
  const findModal = () => {
    const modal = seen("dialog:modal")[0];
    if (modal) return modal;
    const [claimed, dialog] = [seen("[aria-modal=true i]")[0], seen(DIALOG).find((one) => !closest(one, HIDDEN))];
    if (dialog) {
      const rest = all(SUBSTANCE).slice(0, 1000).filter((one) => !closest(one, DIALOG) && isDisplayed(one));
      const main = seen("main, [role=main i]").find((one) => !closest(one, DIALOG));
      const hidden = rest.filter((one) => closest(one, HIDDEN)).length;
      if (main ? closest(main, HIDDEN) : hidden * 2 > rest.length) return dialog;
    }
    if (!claimed) return null;
    const hides = (part) => !closest(claimed, "[inert]") && isDisplayed(part) &&
      Element.prototype.querySelector.call(part, SUBSTANCE) !== null;
    return all("[inert]").slice(0, 200).some(hides) ? claimed : null;
  };
  const modal = findModal();
  // Rules skip inert and hidden content, even if there is no dialog that explains it.
  const findInert = () => {
    const OFF = `[inert], ${HIDDEN}`, main = seen("main, [role=main i]")[0];
    if (main) return closest(main, OFF);
    const shown = all(SUBSTANCE).slice(0, 1000).filter(isSeen), counts = new Map();
    for (const one of shown) {
      const off = closest(parentOf(one) ?? one, OFF);
      if (off) counts.set(off, (counts.get(off) ?? 0) + 1);
    }
    return [...counts].find(([, count]) => count * 2 > shown.length)?.[0] ?? null;
  };
  const inert = modal ? null : findInert();

  // A field whose name shadows a property of its form that axe-core reads, and which the audit could not work around.
  const shadowed = (globalThis.sightlineShadowing?.unmended() ?? []).filter(([form]) => isIn(form)).slice(0, MAX_LISTED)
    .map(([form, field]) => ({ form: where(form), field: cut(attribute(field, "name") ?? attribute(field, "id"), 100) }));

  const ENTRY = "input:not([type]), input[type=text i], input[type=email i], input[type=tel i], input[type=password i]," +
    " textarea, select";
  const error = first("parsererror");
  const isXml = of(Document.prototype, "contentType")(document) !== "text/html";
  const noscript = all("noscript").slice(0, MAX_LISTED).map(textOf).join(" ").replace(/<[^<>]*>/g, " ");
  const onlyNoscript = body !== null && all("body > *").every((one) => matches(one, "noscript, script, style, link, template"));
  return {
    href: String(location.href).slice(0, 4000).toWellFormed(),
    title: cut(of(Document.prototype, "title")(document)),
    headings: headings.map((one) => cut(textOf(one))),
    elements: all("*").length,
    ...shown,
    is_busy: all(BUSY).slice(0, 200).some(isDisplayed),
    main: mainShown && {
      text: mainShown.text,
      others: mainShown.media + mainShown.controls + mainShown.canvas,
      is_busy: matches(main, BUSY) || Element.prototype.querySelector.call(main, BUSY) !== null,
    },
    hidden_in_main: hiddenInMain,
    scripts: all("script").length,
    is_noscript_only: onlyNoscript && noscript.trim() !== "",
    entries: seen(ENTRY).length,
    passwords: seen("input[type=password i]").length,
    new_passwords: all("input[autocomplete~=new-password i]").length,
    has_captcha: seen(".g-recaptcha, .h-captcha, .cf-turnstile, #challenge-form, #challenge-stage, #px-captcha, " +
      "iframe[src*=captcha i], iframe[src*='challenges.cloudflare.com'], iframe[src*=_Incapsula_Resource]").length > 0,
    links: all("a[href]").length,
    frames,
    embedded,
    shadowed,
    hosts: hosts.length,
    modal: modal ? where(modal) : "",
    inert: inert ? where(inert) : "",
    has_more_than_modal: modal !== null && all(SUBSTANCE).slice(0, 1000).some((one) => !closest(one, `dialog, ${DIALOG}`)),
    parse_error: isXml && error !== null ? cut(textOf(error)) : "",
  };
})
