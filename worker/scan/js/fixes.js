// Applies proposed changes of single elements to the page, and reverts them. Evaluated once in Sightline's world of the
// top frame, after axe-core. A proposal is first parsed in a document without scripts, and refused unless it is one
// element of the same kind that adds nothing that runs, loads or navigates. Only attributes are changed, and children
// if they differ; the same task checks that all else is unchanged.
(() => {
  if (Object.hasOwn(globalThis, "sightlineFixes")) return;
  const SHOWN = 1000, TEXT = 80, SAMPLE = 4000, MOST_NEW = 20;
  const SVG = "http://www.w3.org/2000/svg";
  const inert = document.implementation.createHTMLDocument("");
  const held = new Map();
  const clean = (text) => String(text ?? "").replace(/\s+/g, " ").trim();

  const opening = (element) => {
    const copy = inert.importNode(element, false);
    copy.replaceChildren();
    return copy.outerHTML.replace(/<\/[^<>]*>$/, "");
  };
  const markupOf = (element) =>
    (["html", "head", "body"].includes(element.localName) || element.outerHTML.length > SHOWN
      ? opening(element) : element.outerHTML);

  // ------------------------------------------------------------------------------------------ what is known about it

  const said = (node) => {
    if (node?.nodeType === 3) return clean(node.data);
    if (node?.nodeType !== 1 || node.matches("script, style, input, select, textarea, button, a, img")) return "";
    return node.querySelector("input, select, textarea, button") ? "" : clean(node.innerText);
  };
  const fit = (text) => (text.length <= TEXT ? text.replace(/[\s:*]+$/u, "") : "");
  const beside = (node, step) => {
    for (let next = node[step]; next; next = next[step]) {
      const text = fit(said(next));
      if (/\p{L}/u.test(text)) return text;
      if (next.nodeType === 1 && next.localName !== "br") return "";
    }
    return "";
  };
  const near = (field) => {
    const steps = ["checkbox", "radio"].includes(field.type)
      ? ["nextSibling", "previousSibling"] : ["previousSibling"];
    for (const node of [field, field.parentElement]) {
      if (!node || ["body", "form", "fieldset", "main"].includes(node.localName)) return "";
      for (const step of steps) {
        const text = beside(node, step);
        if (text) return text;
      }
    }
    return "";
  };
  const icons = (element) => [...element.querySelectorAll("svg, use, img, i, span, title")].slice(0, 8).map((one) => ({
    tag: one.localName,
    text: one.localName === "title" ? clean(one.textContent) : "",
    classes: clean(one.getAttribute("class")),
    title: clean(one.getAttribute("title") ?? one.getAttribute("aria-label") ?? one.getAttribute("alt")),
    reference: one.getAttribute("href") ?? one.getAttribute("xlink:href") ?? one.getAttribute("src") ?? "",
  }));
  const factsOf = (element) => {
    const named = element.parentElement?.closest("a[href], button, [role=button], [role=link]");
    const isImage = element.localName === "img";
    const sizes = isImage ? [element.naturalWidth, element.naturalHeight, element.width, element.height] : [];
    return {
      markup: markupOf(element),
      opening: opening(element),
      near: element.matches("input, select, textarea, [role]") ? near(element) : "",
      icons: icons(element),
      in_named: isImage && Boolean(named) && clean(named.innerText) !== "",
      in_hidden: isImage && Boolean(element.closest("[aria-hidden=true]")),
      is_spacer: isImage && element.complete && (Math.max(...sizes.slice(0, 2)) <= 2 || Math.max(...sizes.slice(2)) <= 2)
        && sizes[0] > 0,
      frame_title: element.localName === "iframe" ? clean(element.contentDocument?.title).slice(0, 200) : "",
      heading: clean(document.querySelector("h1")?.innerText).slice(0, 200),
      language: document.documentElement.lang || document.documentElement.getAttribute("xml:lang") || "",
      text: clean((element.localName === "html" ? document.body : element)?.innerText).slice(0, SAMPLE),
      same_ids: element.id ? [...document.querySelectorAll(`[id="${CSS.escape(element.id)}"]`)].length : 0,
    };
  };
  // For some rules, the element to change is not the one they report.
  const toChange = (element, rule) => {
    if (rule === "document-title") return document.querySelector("head > title") ?? document.head;
    if (rule.startsWith("duplicate-id")) {
      return [...element.getRootNode().querySelectorAll(`[id="${CSS.escape(element.id)}"]`)].at(-1) ?? element;
    }
    return element;
  };

  // ------------------------------------------------------------------------------------------ what may be proposed

  const NEVER = ["script", "style", "iframe", "frame", "object", "embed", "base", "link", "meta", "applet", "template",
    "noscript", "portal", "foreignobject", "animate", "set", "use", "form", "slot"];
  const ADDRESSES = ["href", "xlink:href", "src", "srcset", "srcdoc", "action", "formaction", "data", "poster", "background",
    "ping", "manifest", "classid", "codebase", "content", "http-equiv", "is", "target", "usemap", "lowsrc", "dynsrc"];
  // axe-core ignores elements that are hidden, so a change must not hide the element.
  const HIDING = ["style", "hidden", "inert", "disabled", "aria-disabled"];
  const PARTS = "a, area, button, input, select, textarea, summary, img, svg, video, audio, iframe, object, [role], [tabindex]";
  const attributesOf = (element) => [element, ...element.querySelectorAll("*")].flatMap((one) => [...one.attributes]);
  const isHarmless = ({ name, value }, tag) => {
    const plain = name.toLowerCase();
    if (plain.startsWith("on") || HIDING.includes(plain)) return false;
    if (plain === "aria-hidden") return value !== "true";
    if (plain === "role") return !/\b(?:none|presentation)\b/i.test(value);
    if (plain === "content" && tag === "meta") return /^[a-z0-9.,;= -]*$/i.test(value);
    return !ADDRESSES.includes(plain) && !/(?:javascript|vbscript|data)\s*:/i.test(value.replace(/[\u0000-\u0020]/g, ""));
  };
  const SEEN = { opacityProperty: true, visibilityProperty: true };
  const refuse = (why) => { throw new Error(`refused: ${why}`); };
  const parse = (markup, element, { isAppended }) => {
    if (!/^\s*<[a-z]/i.test(markup)) refuse("it does not begin with an element");
    const whole = ["html", "head", "body"].includes(element.localName) && !isAppended;
    const text = whole ? markup.replace(/^\s*<(?:html|head|body)(?=[\s>/])/i, "<x-whole") : markup;
    const template = inert.createElement("template");
    const isDrawn = element.namespaceURI === SVG && element.localName !== "svg";
    template.innerHTML = isDrawn ? `<svg>${text}</svg>` : text;
    const root = isDrawn ? template.content.firstChild : template.content;
    if (isDrawn && template.content.childNodes.length !== 1) refuse("it ends the drawing it is in");
    const nodes = [...root.childNodes].filter((node) => node.nodeType !== 3 || node.data.trim());
    if (nodes.length !== 1 || nodes[0].nodeType !== 1) refuse("it is not exactly one element");
    const [proposed] = nodes;
    const tag = whole ? "x-whole" : isAppended ? "title" : element.localName;
    if (proposed.localName !== tag) refuse(`it is not the same element: <${proposed.localName}>`.slice(0, 80));
    if (whole && proposed.childNodes.length) refuse("it is more than the element's own tag");
    return proposed;
  };
  const check = (proposed, element) => {
    const brought = proposed.querySelectorAll("*").length - element.querySelectorAll("*").length;
    if (brought > MOST_NEW) refuse(`it brings ${brought} elements`);
    for (const inner of proposed.querySelectorAll("*")) {
      const known = [...element.querySelectorAll(inner.localName)].some((one) => one.outerHTML === inner.outerHTML);
      if (NEVER.includes(inner.localName.toLowerCase()) && !known) refuse(`it brings <${inner.localName}>`);
    }
    if (proposed.childNodes.length) {
      const lost = clean(element.textContent).split(" ").filter((word) => !clean(proposed.textContent).includes(word));
      const parts = (one) => one.querySelectorAll(PARTS).length;
      if (lost.length || parts(proposed) < parts(element)) refuse("it takes content away");
    }
    const known = new Set(attributesOf(element).map(({ name, value }) => `${name}=${value}`));
    for (const attribute of attributesOf(proposed)) {
      const { name, value } = attribute;
      if (!known.has(`${name}=${value}`) && !isHarmless(attribute, element.localName)) {
        refuse(`it brings the attribute ${name}`.slice(0, 80));
      }
    }
  };

  // ------------------------------------------------------------------------------------------ change and undo

  // A digest of the whole document except one element, in tree order.
  const digest = (skipped) => {
    let sum = 0x811c9dc5;
    const mix = (text) => { for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193); };
    const left = [document];
    while (left.length) {
      const node = left.pop();
      if (node === skipped) continue;
      mix(`<${node.nodeName}`);
      if (node.nodeType === 1) {
        for (const { name, value } of node.attributes) mix(`${name}=${value} `);
        if (node.shadowRoot) left.push(node.shadowRoot);
      } else if (node.nodeType !== 9 && node.nodeType !== 11) mix(node.nodeValue ?? "");
      for (let child = node.lastChild; child; child = child.previousSibling) left.push(child);
    }
    return sum;
  };
  const setAttributes = (element, wanted) => {
    for (const [name, attribute] of wanted) {
      if (attribute === null) element.removeAttribute(name);
      else element.setAttributeNode(attribute.cloneNode());
    }
  };
  const apply = (key, markup, isAppended) => {
    const one = held.get(key);
    const { element } = one;
    if (!element.isConnected) throw new Error("gone");
    const proposed = parse(markup, element, { isAppended });
    check(proposed, element);
    const [before, openingBefore] = [markupOf(element), opening(element)];
    if (isAppended) {
      const added = document.importNode(proposed, true);
      const outside = digest(added);
      Object.assign(one, { added, attributes: new Map(), previous: new Map(), children: null });
      element.append(added);
      return { before: "", after: added.outerHTML, is_changed: true, outside: digest(added) !== outside };
    }
    const names = new Set([...element.attributes, ...proposed.attributes].map(({ name }) => name));
    const attributes = new Map(), previous = new Map();
    for (const name of names) {
      const [old, fresh] = [element.getAttributeNode(name), proposed.getAttributeNode(name)];
      if (old?.value === fresh?.value) continue;
      attributes.set(name, fresh?.cloneNode() ?? null);
      previous.set(name, old?.cloneNode() ?? null);
    }
    const isNewInside = proposed.childNodes.length > 0 && proposed.innerHTML !== inert.importNode(element, true).innerHTML;
    const children = isNewInside ? [...element.childNodes] : null;
    const outside = digest(element), wasSeen = element.checkVisibility(SEEN);
    Object.assign(one, { attributes, previous, children, added: null });
    setAttributes(element, attributes);
    if (isNewInside) element.replaceChildren(...[...proposed.childNodes].map((node) => document.importNode(node, true)));
    if (wasSeen && !element.checkVisibility(SEEN)) {
      undo(key);
      refuse("it hides the element");
    }
    return {
      before: isNewInside ? before : openingBefore,
      after: isNewInside ? markupOf(element) : opening(element),
      is_changed: attributes.size > 0 || isNewInside,
      outside: digest(element) !== outside,
    };
  };
  const isStill = (key) => {
    const { element, attributes, added } = held.get(key);
    const value = (name) => element.getAttribute(name);
    const stays = [...attributes].every(([name, wanted]) => value(name) === (wanted === null ? null : wanted.value));
    return element.isConnected && stays && (!added || added.isConnected);
  };
  const undo = (key) => {
    const { element, previous, children, added } = held.get(key);
    setAttributes(element, previous);
    if (children) element.replaceChildren(...children);
    added?.remove();
  };

  globalThis.sightlineFixes = {
    hold: (key, element, rule) => {
      held.set(key, { element: toChange(element, rule) });
      return factsOf(held.get(key).element);
    },
    apply: (key, markup, isAppended) => {
      try {
        return apply(key, markup, isAppended);
      } catch (error) {
        return { failed: String(error?.message ?? error).slice(0, 200) };
      }
    },
    isStill,
    undo,
  };
})()
