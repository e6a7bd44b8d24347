// Returns an element's meaningful ancestors, outermost first, each as [tag, role, classes, id]. Positions and bare
// wrappers are left out. component.py interprets them.
//
// The prototypes' getters are used, since a page's names (a form field called "parentElement") shadow properties.
const sightlinePlace = (() => {
  const MAX_LANDMARKS = 8, MAX_OTHERS = 6, MAX_CHARS = 200;
  const LANDMARKS = new Set(["header", "nav", "main", "aside", "footer", "search", "form", "dialog", "article", "section"]);
  const PARTS = new Set(["li", "tr", "th", "td", "dt", "dd", "table", "ul", "ol", "dl", "fieldset", "figure", "label", "a",
    "button", "summary", "details", "h1", "h2", "h3", "h4", "h5", "h6"]);
  const getter = (prototype, name) => {
    const { get } = Object.getOwnPropertyDescriptor(prototype, name);
    return (node) => get.call(node);
  };
  const parentElement = getter(Node.prototype, "parentElement"), localName = getter(Element.prototype, "localName");
  const host = getter(ShadowRoot.prototype, "host"), root = Node.prototype.getRootNode;
  const attribute = (element, name) =>
    (Element.prototype.getAttribute.call(element, name) ?? "").slice(0, MAX_CHARS).toWellFormed();
  const parentOf = (element) => {
    const parent = parentElement(element);
    if (parent) return parent;
    const top = root.call(element);
    return top instanceof ShadowRoot ? host(top) : null;
  };
  const stepOf = (element) => {
    const tag = localName(element).slice(0, MAX_CHARS).toWellFormed();
    return [tag, attribute(element, "role"), attribute(element, "class"), attribute(element, "id")];
  };
  return (element) => {
    const place = [];
    let landmarks = 0, others = 0;
    for (let around = parentOf(element); around; around = parentOf(around)) {
      const [tag, role, classes, id] = stepOf(around);
      if (tag === "body" || tag === "html") continue;
      const isLandmark = LANDMARKS.has(tag) || role !== "";
      if (isLandmark ? landmarks++ < MAX_LANDMARKS : (PARTS.has(tag) || tag.includes("-") || classes || id) && others++ < MAX_OTHERS)
        place.unshift([tag, role, classes, id]);
    }
    return place;
  };
})();
