// Returns the context of an element, for the rules of lint.js: texts, headings, fields. The prototypes' getters are
// used, since a page's names (a form field called "parentElement") shadow properties. Lists are made once per run.
const sightlineAround = (() => {
  const { plain } = sightlineSays;
  const getter = (prototype, name) => {
    const { get } = Object.getOwnPropertyDescriptor(prototype, name);
    return (node) => get.call(node);
  };
  const parentOf = getter(Node.prototype, "parentElement"), nameOf = getter(Element.prototype, "localName");
  const wholeText = getter(Node.prototype, "textContent"), next = getter(Node.prototype, "nextSibling");
  const previous = getter(Node.prototype, "previousSibling"), children = getter(Element.prototype, "children");
  const attribute = (element, name) => Element.prototype.getAttribute.call(element, name) ?? "";
  const closest = (element, selector) => Element.prototype.closest.call(element, selector);
  const matches = (element, selector) => Element.prototype.matches.call(element, selector);
  const all = (root, selector) => [...Element.prototype.querySelectorAll.call(root, selector)];
  const top = () => getter(Document.prototype, "documentElement")(document);
  const textOf = (node) => wholeText(node).replace(/\s+/g, " ").trim();
  const letters = (text) => text.replace(/[^\p{L}\p{N}]/gu, "").length;
  const isBefore = (one, other) => (Node.prototype.compareDocumentPosition.call(one, other) & 4) !== 0;
  const contains = (one, other) => Node.prototype.contains.call(one, other);

  const HEADINGS = "h1,h2,h3,h4,h5,h6,[role=heading i]";
  const LINKS = "a[href],button,[role=link i],[role=button i]";
  let run, headings, alike;
  const lists = () => {
    if (headings !== undefined && run === axe._tree) return;
    run = axe._tree;
    headings = all(top(), HEADINGS);
    alike = undefined;
  };
  const levelOf = (heading) => Number(attribute(heading, "aria-level") || nameOf(heading).slice(1)) || 2;
  // The last heading before the element, by binary search: the list is in document order.
  const headingBefore = (element) => {
    lists();
    let [from, to] = [0, headings.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (isBefore(headings[middle], element)) from = middle + 1; else to = middle;
    }
    return headings[from - 1];
  };
  // The heading of the element's card or section. The page's own heading (h1) names no section.
  const headingOf = (element) => {
    const heading = headingBefore(element);
    if (!heading || levelOf(heading) < 2 || contains(heading, element)) return undefined;
    const parent = parentOf(heading), above = parent && parentOf(parent);
    if (parent && contains(parent, element)) return heading;
    return above && !matches(above, "body, main, [role=main i]") && contains(above, element) ? heading : undefined;
  };

  const described = (element) => {
    const said = plain(attribute(element, "aria-describedby").split(/\s+/).filter(Boolean)
      .map((id) => Document.prototype.getElementById.call(document, id)).filter(Boolean).map(textOf).join(" "));
    const title = plain(attribute(element, "title"));
    return (said !== "" && said) || (title !== "" && title !== plain(textOf(element)) && title) || "";
  };
  const BLOCKS = "p,li,tr,dd,dt,figcaption,caption,blockquote,label,legend";
  // The text of the element's paragraph, list item or row, without links and buttons that say nothing themselves.
  const wordsAround = (element, isVague) => {
    const block = closest(element, BLOCKS);
    if (!block) return 0;
    const mute = all(block, LINKS).filter((one) => isVague(plain(textOf(one))));
    return letters(textOf(block)) - mute.reduce((sum, one) => sum + letters(textOf(one)), 0);
  };
  // A heading does not distinguish links below it with the same name and different targets.
  const areAlike = (element, said, isVague) => {
    lists();
    if (alike === undefined) {
      alike = new Map();
      for (const link of all(top(), "a[href]")) {
        const text = plain(textOf(link));
        if (text.length > 40 || !isVague(text)) continue;
        const heading = headingBefore(link), names = alike.get(heading) ?? new Map();
        alike.set(heading, names.set(text, (names.get(text) ?? new Set()).add(attribute(link, "href"))));
      }
    }
    return (alike.get(headingBefore(element))?.get(said)?.size ?? 0) > 1;
  };
  const hasContext = (element, said, isVague) =>
    described(element) !== "" || wordsAround(element, isVague) >= 3 ||
    (headingOf(element) !== undefined && !areAlike(element, said, isVague));

  // The element, or the outermost ancestor that contains nothing else: an image's link, its <picture>.
  const aloneIn = (element) => {
    let at = element;
    for (let parent = parentOf(at); parent && children(parent).length <= 3 && textOf(parent) === ""; parent = parentOf(at)) {
      if (all(parent, "img,svg,canvas,input,button,video").some((one) => one !== element && !contains(element, one))) break;
      if (matches(parent, "body, main, li, td, article, section")) break;
      at = parent;
    }
    return at;
  };
  const sibling = (node, step) => {
    let at = step(node);
    while (at && (at.nodeType === 8 || (at.nodeType === 3 && textOf(at) === ""))) at = step(at);
    return at;
  };
  // The texts read aloud directly before and after an image.
  const textsBeside = (picture) => {
    const found = [];
    const control = closest(picture, LINKS);
    if (control && control !== picture) found.push(textOf(control));
    const caption = closest(picture, "figure");
    if (caption) found.push(...all(caption, "figcaption").slice(0, 1).map(textOf));
    const outer = aloneIn(picture);
    for (const step of [next, previous]) {
      const beside = sibling(outer, step);
      // In cards, image and heading often have the same text, which is accepted.
      if (beside && !(beside instanceof Element && matches(beside, HEADINGS))) found.push(textOf(beside));
    }
    return found.filter((text) => text !== "");
  };
  const pictureBefore = (picture) => {
    const before = sibling(aloneIn(picture), previous);
    if (!(before instanceof Element) || textOf(before) !== "") return undefined;
    return matches(before, "img") ? before : all(before, "img")[0];
  };
  // The text from the element to the next heading.
  const textAfter = (element, length) => {
    const walker = Document.prototype.createTreeWalker.call(document, top(), NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    walker.currentNode = element;
    let text = "", node = walker.nextNode();
    for (let steps = 0; node && text.length < length && steps < 500; steps++, node = walker.nextNode()) {
      if (contains(element, node)) continue;
      if (node instanceof Element) { if (matches(node, HEADINGS)) break; } else if (!closest(parentOf(node) ?? top(), "script,style,template,noscript")) text += ` ${textOf(node)}`;
    }
    return text.replace(/\s+/g, " ").trim().slice(0, length);
  };
  return {
    HEADINGS, all, attribute, closest, matches, parentOf, textOf, top, described, headingBefore, headingOf, hasContext,
    textsBeside, pictureBefore, textAfter, levelOf, headings: () => { lists(); return headings; },
  };
})()
