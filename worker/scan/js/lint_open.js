// Returns the names that no rule can decide, with what a model needs to judge them: surrounding text and language.
// Evaluated after the audit, in the top frame; `numbers` is audit.js's number of each element.
globalThis.sightlineUndecided = (numbers, most) => {
  const { HEADINGS, attribute, closest, headingBefore, matches, parentOf, textAfter, textOf, textsBeside, top } = sightlineAround;
  const SHARE = { "title-meaning": 1, "error-meaning": 4, "label-meaning": 8, "heading-meaning": 10, "link-meaning": 10, "alt-meaning": 6 };
  const cut = (text, length) => String(text).replace(/\s+/g, " ").trim().slice(0, length).toWellFormed();
  const under = (element) => {
    const heading = headingBefore(element);
    return heading && heading !== element ? `under the heading "${cut(textOf(heading), 80)}"` : "";
  };
  const block = (element) => {
    const around = closest(element, "p,li,td,th,dd,figcaption,label,article,section") ?? parentOf(element) ?? element;
    return `in "${cut(textOf(around), 160)}"`;
  };
  const field = (element) => ["type", "name", "autocomplete", "placeholder"]
    .map((name) => [name, attribute(element, name)]).filter(([, value]) => value).map(([name, value]) => `${name}=${cut(value, 40)}`);
  const legend = (element) => {
    const group = closest(element, "fieldset");
    const found = group && Element.prototype.querySelector.call(group, "legend");
    return found ? `group "${cut(textOf(found), 80)}"` : "";
  };
  const address = (element) => attribute(element, "href").split(/[?#]/)[0].split("/").filter(Boolean).slice(-2).join("/");
  const CONTEXT = {
    "title-meaning": () => {
      const first = Element.prototype.querySelector.call(top(), "h1") ?? Element.prototype.querySelector.call(top(), HEADINGS);
      const start = first ?? Element.prototype.querySelector.call(top(), "body") ?? top();
      return [first ? `first heading "${cut(textOf(first), 120)}"` : "", `text "${first ? textAfter(start, 240) : cut(textOf(start), 240)}"`];
    },
    "heading-meaning": (element) => [`then "${textAfter(element, 200)}"`],
    "link-meaning": (element) => [block(element), under(element), `to ${cut(address(element), 60)}`],
    "label-meaning": (element) => [...field(element), legend(element), under(element)],
    "error-meaning": (element) => [block(element), under(element)],
    "alt-meaning": (element) => [...textsBeside(element).slice(0, 2).map((text) => `beside "${cut(text, 100)}"`), under(element)],
  };
  const given = {}, seen = new Set(), found = [];
  const inOrder = [...sightlineOpen].sort(([, [one]], [, [other]]) => Object.keys(SHARE).indexOf(one) - Object.keys(SHARE).indexOf(other));
  for (const [element, [rule, name]] of inOrder) {
    const number = numbers.get(element);
    if (found.length >= most || number === undefined || (given[rule] ?? 0) >= SHARE[rule] || !element.isConnected) continue;
    const context = CONTEXT[rule](element).filter(Boolean).join("; ");
    const key = JSON.stringify([rule, name, context]);
    if (seen.has(key) || matches(element, "[aria-hidden=true i] *")) continue;
    seen.add(key);
    given[rule] = (given[rule] ?? 0) + 1;
    found.push({ rule, name: cut(name, 160), context: cut(context, 500), number });
  }
  return { language: cut(attribute(top(), "lang"), 20), found };
}
