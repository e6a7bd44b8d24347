// A field shadows its form's property of the same name, even in the isolated world: axe-core would skip such a form,
// misread it or fail. During the audit, such fields are detached from their form and such images renamed; then all is
// restored. Evaluated before `audit.js`, once per document.
globalThis.sightlineShadowing = (() => {
  // Properties of a form that axe-core 4.14 and `audit.js` read, and similar ones that they may read.
  const READ = new Set(("assignedSlot attributes childElementCount childNodes children classList clientHeight clientLeft " +
    "clientTop clientWidth cloneNode closest compareDocumentPosition contains firstChild firstElementChild getAttribute " +
    "getAttributeNS getAttributeNames getAttributeNode getBoundingClientRect getClientRects getRootNode hasAttribute " +
    "hasAttributes hasChildNodes innerText isConnected lastChild lastElementChild localName matches namespaceURI " +
    "nextElementSibling nextSibling nodeName nodeType nodeValue offsetHeight offsetLeft offsetParent offsetTop offsetWidth " +
    "outerHTML ownerDocument parentElement parentNode previousElementSibling previousSibling querySelector " +
    "querySelectorAll scrollHeight scrollLeft scrollTop scrollWidth shadowRoot style tagName textContent").split(" "));
  const isRead = (name) => READ.has(name) || (/^aria[A-Z]/.test(name) && name in HTMLFormElement.prototype);
  // The id of no form; a page cannot guess it.
  const NOBODY = `sightline-${Math.random().toString(36).slice(2)}`;
  const of = (prototype, name) => {
    const { get } = Object.getOwnPropertyDescriptor(prototype, name);
    return (node) => get.call(node);
  };
  const shadowOf = of(Element.prototype, "shadowRoot"), parentOf = of(Node.prototype, "parentNode");
  const attribute = (element, name) => Element.prototype.getAttribute.call(element, name);
  const set = (element, name, value) => value === null
    ? Element.prototype.removeAttribute.call(element, name)
    : Element.prototype.setAttribute.call(element, name, value);
  let changes = [], radios = [], unmended = [], touched = new Set();

  const change = (element, name) => {
    changes.push([element, name, attribute(element, name)]);
    set(element, name, NOBODY);
    for (let node = element; node; node = parentOf(node)) touched.add(node);
  };
  // A radio button that changes its form may uncheck others of the same name.
  const keepRadios = () => {
    const all = Document.prototype.querySelectorAll.call(document, "input[type=radio i]");
    for (const radio of all) radios.push([radio, radio.checked]);
  };
  const find = function* (root) {
    const all = (root instanceof Document ? Document : DocumentFragment).prototype.querySelectorAll;
    for (const element of all.call(root, "*")) {
      const names = [attribute(element, "name"), attribute(element, "id")].filter((name) => name && isRead(name));
      if (names.length > 0) yield [element, names];
      const inner = shadowOf(element);
      if (inner) yield* find(inner);
    }
  };
  const lift = () => {
    [unmended, touched] = [[], new Set()];
    for (const [element, names] of [...find(document)]) {
      const isImage = element instanceof HTMLImageElement;
      const owner = (!isImage && element.form) || Element.prototype.closest.call(element, "form");
      if (!(owner instanceof HTMLFormElement)) continue;
      if (element instanceof HTMLInputElement && element.type === "radio" && radios.length === 0) keepRadios();
      // The form must not be asked for an image by its name before this: it would keep that name from then on.
      if (isImage && isRead(attribute(element, "name") ?? "")) change(element, "name");
      else if (!isImage && element.form === owner) change(element, "form");
      if (names.some((name) => Object.hasOwn(owner, name))) unmended.push([owner, element, names]);
    }
    // If several fields have one name, removing the last one frees it.
    unmended = unmended.filter(([owner, , names]) => names.some((name) => Object.hasOwn(owner, name)));
  };
  const putBack = () => {
    for (const [element, name, value] of changes.reverse()) set(element, name, value);
    for (const [radio, was] of radios) if (radio.checked !== was) radio.checked = was;
    [changes, radios] = [[], []];
  };

  // Returns what axe-core's DqElement reads of an element, regardless of the names of its fields.
  const plain = (element) => ({
    nodeType: 1,
    nodeName: of(Node.prototype, "nodeName")(element),
    ownerDocument: document,
    outerHTML: of(Element.prototype, "outerHTML")(element),
    attributes: of(Element.prototype, "attributes")(element),
  });
  return {
    lift,
    putBack,
    mark: NOBODY,
    changed: () => changes.map(([element]) => element),
    // Whether the element's HTML was different while fields were detached.
    touches: (element) => touched.has(element),
    plain,
    // The forms and fields of which the field still shadows a property that axe-core reads.
    unmended: () => unmended.map(([owner, element]) => [owner, element]),
    isNeeded: () => touched.size > 0 || unmended.length > 0,
    // Runs at rest, after `lift` and `putBack`; if those found nothing, it does not search again.
    within: (run) => {
      if (touched.size === 0) return run();
      lift();
      try {
        return run();
      } finally {
        putBack();
      }
    },
  };
})();
