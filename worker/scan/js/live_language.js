// Reads the page's texts, each with the language that it is marked with. Evaluated after live.js.
(() => {
  if (Object.hasOwn(globalThis, "sightlineLanguage")) return;
  const { attribute, matches, above, elements, isShown, isAsked, numberOf } = sightlineLive;
  const XML = "http://www.w3.org/XML/1998/namespace";
  const MAX_TEXTS = 2000, MAX_TEXT = 600, MAX_ADDED = 4000, MAX_LANG = 40;
  // Content in no language, or not read aloud: code, lists of languages, content excluded from translation.
  const NO_TEXT = "script,style,noscript,template,code,pre,kbd,samp,var,math,textarea,select,datalist,option,[translate=no],.notranslate,[aria-hidden=true]";
  const IMAGE = "img,area,input[type=image],svg,[role=img]";
  const langOf = (element) =>
    (Element.prototype.getAttributeNS.call(element, XML, "lang") ?? attribute(element, "lang"))?.slice(0, MAX_LANG).toWellFormed() ?? null;
  const remembered = (compute) => {
    const known = new Map();
    const of = (element) => {
      if (!known.has(element)) known.set(element, compute(element, of));
      return known.get(element);
    };
    return of;
  };
  // The element that says the language of another, itself included.
  const holderOf = remembered((element, of) => (langOf(element) !== null || !above(element) ? element : of(above(element))));
  const blockOf = remembered((element, of) => (/^(inline|contents)/.test(getComputedStyle(element).display) && above(element) ? of(above(element)) : element));
  const isNoText = remembered((element, of) => matches(element, NO_TEXT) || Boolean(above(element) && of(above(element))));
  // A name that is no text of the page itself.
  const imageName = (element) => {
    const labels = (attribute(element, "aria-labelledby") ?? "").split(/\s+/).map((id) => id && document.getElementById(id)).filter(Boolean);
    if (labels.length) return labels.filter((one) => !isShown(one)).map((one) => one.textContent).join(" ");
    return attribute(element, "aria-label") ?? attribute(element, "alt") ?? "";
  };
  const read = () => {
    const found = new Map();
    const add = (element, block, text) => {
      const said = text.replace(/\s+/g, " ");
      if (!said.trim() || isNoText(element)) return;
      const holder = holderOf(element);
      const key = `${numberOf(holder)} ${numberOf(block)}`;
      if (!found.has(key) && found.size < MAX_TEXTS)
        found.set(key, { holder: numberOf(holder), isPage: holder === document.documentElement, block: numberOf(block), lang: langOf(holder) ?? "", text: "" });
      const entry = found.get(key);
      if (entry && entry.text.length < MAX_TEXT) entry.text += said.slice(0, MAX_ADDED).toWellFormed();
    };
    add(document.documentElement, document.documentElement, document.title);
    for (const element of elements()) {
      if (!isShown(element) || !isAsked(element)) continue;
      if (matches(element, IMAGE)) add(element, element, imageName(element));
      for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) add(element, blockOf(element), node.data);
    }
    return { page: langOf(document.documentElement) ?? "", root: numberOf(document.documentElement), texts: [...found.values()] };
  };
  globalThis.sightlineLanguage = { read };
})()
