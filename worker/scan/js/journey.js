// Finds the element on which a step acts, in Sightline's isolated world of one document; safe to evaluate again. It
// clicks nothing: real input comes from the browser (journey/keys.py and journey/actions.py). Between calls, the
// element is kept in `found`.
globalThis.sightlineJourney ??= (() => {
  const MAX_FOUND = 200, MAX_SHOWN = 5, MAX_TEXT = 60;
  const getter = (prototype, name) => {
    const get = Object.getOwnPropertyDescriptor(prototype, name).get;
    return (element) => get.call(element);
  };
  const shadowOf = getter(Element.prototype, "shadowRoot"), textOf = getter(Node.prototype, "textContent");
  const childrenOf = getter(Element.prototype, "children");
  const all = (root, css) => [...(root === document ? Document : DocumentFragment).prototype.querySelectorAll.call(root, css)];
  const fits = (element, css) => Element.prototype.matches.call(element, css);
  const attribute = (element, name) => Element.prototype.getAttribute.call(element, name);
  const tagOf = (element) => getter(Element.prototype, "localName")(element);
  const squeeze = (text) => String(text ?? "").replace(/\s+/g, " ").trim();
  const short = (text) => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text).toWellFormed();

  // The document and its open shadow roots.
  const roots = () => {
    const found = [document];
    for (const root of found) for (const element of all(root, "*")) if (shadowOf(element)) found.push(shadowOf(element));
    return found;
  };
  const compares = (words, isExact) => {
    const wanted = isExact ? words : words.toLowerCase();
    return (text) => (isExact ? squeeze(text) === wanted : squeeze(text).toLowerCase().includes(wanted));
  };

  const NO_TEXT = "script, style, noscript, template, head, title";
  const BUTTONS = "input[type=submit i], input[type=button i], input[type=reset i]";
  // The text that people read in an element; textContent would include scripts.
  const wordsOf = (element) => {
    const accept = (node) => (node.nodeType === Node.ELEMENT_NODE && fits(node, NO_TEXT) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT);
    const nodes = document.createTreeWalker(element, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, accept);
    let words = "";
    for (let node; (node = nodes.nextNode()); ) if (node.nodeType === Node.TEXT_NODE) words += node.data;
    return words;
  };
  const byText = (words, isExact) => {
    const is = compares(words, isExact), found = [];
    const visit = (element) => {
      if (fits(element, NO_TEXT)) return false;
      if (fits(element, BUTTONS)) return is(element.value) && found.push(element) > 0;
      if (!squeeze(textOf(element)).toLowerCase().includes(words.toLowerCase())) {
        // The label of an input button is its value, not text.
        return Element.prototype.querySelector.call(element, BUTTONS) !== null && within(element);
      }
      return within(element) || (is(wordsOf(element)) && found.push(element) > 0);
    };
    const within = (element) => [...childrenOf(element)].map(visit).some(Boolean);
    for (const root of roots()) [...root.children].forEach(visit);
    return found;
  };

  const FIELDS = "input:not([type=hidden i]), select, textarea, button, meter, output, progress, " +
    "[contenteditable]:not([contenteditable=false i]), [role=textbox], [role=combobox], [role=checkbox], [role=switch], " +
    "[role=radio], [role=slider], [role=spinbutton], [role=searchbox], [role=listbox]";
  const labelsOf = (element) => {
    const root = element.getRootNode(), ids = squeeze(attribute(element, "aria-labelledby")).split(" ").filter(Boolean);
    const named = ids.map((id) => root.getElementById?.(id)).filter(Boolean).map(textOf).join(" ");
    return [named, attribute(element, "aria-label"), ...[...(element.labels ?? [])].map(textOf)].map(squeeze).filter(Boolean);
  };
  const byLabel = (words, isExact) => {
    const is = compares(words, isExact);
    return roots().flatMap((root) => all(root, FIELDS).filter((element) => labelsOf(element).some(is)));
  };

  const boxOf = (element) => [...element.getClientRects()].find((box) => box.width > 0 && box.height > 0);
  const isVisible = (element) => element.isConnected && boxOf(element) !== undefined &&
    Element.prototype.checkVisibility.call(element, { visibilityProperty: true });
  const nameOf = (element) => {
    const own = fits(element, BUTTONS) ? element.value : fits(element, "input, select, textarea") ? "" : textOf(element);
    return squeeze(labelsOf(element)[0] ?? "") || squeeze(own) || squeeze(attribute(element, "title")) ||
      squeeze(attribute(element, "alt"));
  };
  // Never a field's value, which may be a secret.
  const describe = (element) => {
    const id = attribute(element, "id"), first = squeeze(attribute(element, "class")).split(" ")[0];
    const name = nameOf(element), mark = id ? `#${id}` : first ? `.${first}` : "";
    return short(`${tagOf(element)}${mark}`) + (name ? ` '${short(name)}'` : "");
  };
  const hitAt = (x, y) => {
    let hit = Document.prototype.elementFromPoint.call(document, x, y);
    for (let root; hit && (root = shadowOf(hit)); ) {
      const inner = root.elementFromPoint(x, y);
      if (!inner || inner === hit) break;
      hit = inner;
    }
    return hit;
  };
  const parentOf = (node) => node.parentNode ?? node.host ?? null;
  const isWithin = (node, element) => {
    for (let up = node; up; up = parentOf(up)) if (up === element) return true;
    return false;
  };
  const isDisabled = (element) => {
    for (let up = element; up instanceof Element; up = parentOf(up)) {
      if (fits(up, ":disabled") || attribute(up, "aria-disabled") === "true") return true;
    }
    return false;
  };
  const list = (elements) => ({ count: elements.length, shown: elements.slice(0, MAX_SHOWN).map(describe) });
  const usable = () => roots().flatMap((root) => all(root, `a[href], button, ${BUTTONS}, [role=button], [role=link]`));

  let found = [], target = null;
  const journey = {
    find(kind, value, isExact) {
      const by = { css: () => roots().flatMap((root) => all(root, value)), text: () => byText(value, isExact),
        label: () => byLabel(value, isExact) };
      return journey.take(...by[kind]());
    },
    take(...elements) {
      found = elements.slice(0, MAX_FOUND);
      target = found.find(isVisible) ?? null;
      // A checkbox that is drawn by its label has no box of its own.
      if (target === null) target = found.flatMap((one) => [...(one.labels ?? [])]).find(isVisible) ?? null;
      return { count: elements.length, hidden: target === null ? list(found).shown : [] };
    },
    // The point to click, or null without a target. Scrolls the target into view.
    place() {
      if (target === null || !isVisible(target)) return null;
      const look = () => {
        const box = boxOf(target), x = box.left + box.width / 2, y = box.top + box.height / 2;
        const hit = hitAt(x, y), label = hit && Element.prototype.closest.call(hit, "label");
        return { x, y, hit, isHit: hit !== null && (isWithin(hit, target) || found.includes(label?.control)) };
      };
      let seen = look();
      if (!seen.isHit) {  // outside the viewport, or of the box in which it scrolls
        Element.prototype.scrollIntoView.call(target, { block: "center", inline: "center", behavior: "instant" });
        seen = look();
      }
      const { x, y, hit, isHit } = seen;
      return { x, y, covered: isHit ? "" : hit ? describe(hit) : "the window's edge", disabled: isDisabled(target), what: describe(target) };
    },
    // Empties and focuses the field to type into; returns the reason if that is impossible.
    prepareField() {
      const named = found.includes(target) ? target : found[0];
      const field = named && fits(named, "label") ? named.control : named;
      if (!field) return { problem: "it is gone" };
      target = field;  // a label found by its text was the target so far
      if (fits(field, "select")) return { problem: "", is_typed: false };
      const isEditable = fits(field, "input, textarea") || field.isContentEditable;
      const type = fits(field, "input") ? field.type : "text";
      if (!isEditable || ["checkbox", "radio", "file", "submit", "button", "reset", "image", "hidden"].includes(type)) {
        return { problem: `${describe(field)} is no field for text` };
      }
      if (field.readOnly) return { problem: `${describe(field)} is read-only` };
      HTMLElement.prototype.focus.call(field);
      if (fits(field, "input, textarea")) {
        (fits(field, "input") ? HTMLInputElement : HTMLTextAreaElement).prototype.select.call(field);
      } else {
        getSelection().selectAllChildren(field);
      }
      return { problem: "", is_typed: !["date", "time", "datetime-local", "month", "week", "color", "range"].includes(type) };
    },
    setField(value) {
      if (fits(target, "select")) return journey.choose(value) === "";
      const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
      set.call(target, value);
      target.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
      target.dispatchEvent(new Event("change", { bubbles: true }));
      return target.value === value;
    },
    choose(wanted) {
      if (!fits(target, "select")) return `${describe(target)} is no list to select from`;
      const options = [...HTMLSelectElement.prototype[Symbol.iterator].call(target)];
      const option = options.find((one) => one.value === wanted) ?? options.find((one) => squeeze(one.label) === squeeze(wanted));
      if (!option) return `it has no option '${short(wanted)}': ${options.slice(0, 10).map((one) => `'${short(squeeze(one.label))}'`).join(", ") || "it is empty"}`;
      if (option.disabled) return `its option '${short(wanted)}' is disabled`;
      if (!target.multiple) for (const one of options) one.selected = false;
      option.selected = true;
      target.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
      target.dispatchEvent(new Event("change", { bubbles: true }));
      return "";
    },
    // true, false, or null if it cannot be checked
    isChecked() {
      const box = found.find((one) => fits(one, "input[type=checkbox i], input[type=radio i]")) ?? target?.control ?? target;
      if (box && fits(box, "input[type=checkbox i], input[type=radio i]")) return box.checked;
      const state = box && attribute(box, "aria-checked");
      return state === "true" ? true : state === "false" || state === "mixed" ? false : null;
    },
    focus() {
      HTMLElement.prototype.focus.call(target);
    },
    scrollTo(where) {
      const height = document.scrollingElement.scrollHeight;
      scrollTo({ top: where === "top" ? 0 : height, behavior: "instant" });
      return height;
    },
    // Lists what the page has instead of what was looked for.
    instead(kind, value) {
      if (kind === "label") {
        const named = roots().flatMap((root) => all(root, FIELDS)).filter(isVisible).filter((one) => labelsOf(one).length);
        return { what: "field", count: named.length, shown: named.slice(0, MAX_SHOWN).map((one) => `'${short(labelsOf(one)[0])}'`) };
      }
      const tag = kind === "css" ? /^([a-z]+)(?![\w-])/.exec(value)?.[1] : undefined;
      const same = tag ? roots().flatMap((root) => all(root, tag)).filter(isVisible) : [];
      return same.length ? { what: `<${tag}>`, ...list(same) } : { what: "link or button", ...list(usable().filter(isVisible)) };
    },
    // The button that accepts a consent banner: a known one, or else one found by its words in an overlay.
    findConsent(known, words) {
      const places = roots();
      const named = known.flatMap((css) => places.flatMap((root) => all(root, css))).find(isVisible);
      if (named) return journey.take(named);
      const is = new RegExp(`^(?:${words})[.!]?$`, "iu");
      const isOver = (element) => {
        for (let up = element; up instanceof Element; up = parentOf(up)) {
          if (fits(up, "dialog[open], [role=dialog], [role=alertdialog]")) return true;
          if (["fixed", "sticky"].includes(getComputedStyle(up).position)) return true;
        }
        return false;
      };
      const says = /cookie|consent|datenschutz|privacy|privacidad|confidentialit|einwilligung|tracking/iu;
      const speaks = (element) => {
        for (let up = element; up instanceof Element; up = parentOf(up)) {
          if (says.test(textOf(up)) && !fits(up, "body, html")) return true;
        }
        return false;
      };
      const button = usable().find((one) => is.test(nameOf(one)) && isVisible(one) && isOver(one) && speaks(one));
      return journey.take(...(button ? [button] : []));
    },
    signInSeen() {
      const fields = roots().flatMap((root) => all(root, "input[type=password i]")).filter(isVisible);
      const alert = roots().flatMap((root) => all(root, "[role=alert], [aria-live=assertive]")).find((one) => isVisible(one) && squeeze(textOf(one)));
      return { password: fields.length > 0, alert: alert ? short(squeeze(textOf(alert))) : "" };
    },
    // Draws fields that hold a secret as dots.
    mask(secrets) {
      const holds = (text) => secrets.some((secret) => String(text).includes(secret));
      let masked = 0;
      const hide = (element) => {
        element.style.setProperty("-webkit-text-security", "disc", "important");
        masked += 1;
      };
      for (const root of roots()) {
        for (const field of all(root, "input, textarea")) if (holds(field.value) || holds(field.placeholder)) hide(field);
        const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        for (let text; (text = texts.nextNode()); ) if (holds(text.data) && text.parentElement) hide(text.parentElement);
      }
      return masked;
    },
  };
  return journey;
})();
