// Finds links of the same name in one context. Evaluated after live.js.
(() => {
  if (Object.hasOwn(globalThis, "sightlineLinks")) return;
  const { elements, isShown, isAsked, matches, closest, above, nameOf, numberOf, short, attribute } = sightlineLive;
  const BLOCK = "p,li,td,th,dd,dt,figcaption,caption,h1,h2,h3,h4,h5,h6,blockquote";
  const targetOf = (link) => {
    try {
      const url = new URL(link.href?.baseVal ?? link.href, document.baseURI);
      return /^https?:$/.test(url.protocol) ? url.origin + url.pathname.replace(/\/(index\.\w+)?$/, "/") + url.search : null;
    } catch { return null; }
  };
  // Links of one name in one block: words between two of them tell them apart.
  const groups = () => {
    const found = new Map();
    for (const link of elements()) {
      if (!matches(link, "a[href]") || !isShown(link) || !isAsked(link)) continue;
      const name = nameOf(link).replace(/\s+/g, " ").trim().toLowerCase(), target = targetOf(link);
      const block = closest(link, BLOCK) ?? above(link);
      if (!name || !target || !block || attribute(link, "aria-describedby")) continue;
      const key = `${numberOf(block)} ${name}`;
      if (!found.has(key)) found.set(key, []);
      found.get(key).push({ link, target, block, name });
    }
    return [...found.values()].filter((links) => new Set(links.map(({ target }) => target)).size > 1);
  };
  const between = (one, other) => {
    const range = document.createRange();
    range.setStartAfter(one);
    range.setEndBefore(other);
    return range.toString().replace(/[^\p{L}\p{N}]+/gu, "");
  };
  const look = () => {
    const found = [];
    for (const links of groups()) {
      links.forEach(({ link, target, name }, i) => {
        const other = links[i - 1];
        // On two sites they may well be two places of one thing.
        if (i === 0 || other.target === target || new URL(other.target).origin !== new URL(target).origin || between(other.link, link) !== "") return;
        found.push({ number: numberOf(link), name: short(name), target: short(target, 200), other: short(other.target, 200) });
      });
    }
    return { count: found.length, found: found.slice(0, 12) };
  };
  globalThis.sightlineLinks = { look };
})()
