// Sightline's own rules about names, which axe-core runs with its own. A name that certainly says nothing (a phrase of
// lint/words.toml, a file's name, a repetition of the text beside it) needs review; no rule fails a page. Elements that
// no rule can decide are kept for lint_open.js, which reads their names if a model is asked.
(() => {
  const { plain, isPhrase, beginsLike, isFileName, isPageFile, isPunctuation } = sightlineSays;
  const { HEADINGS, all, attribute, closest, matches, parentOf, textOf } = sightlineAround;
  const LONG = 80, MAX_OPEN = 2000, NAVIGATION = "nav,[role=navigation i],[role^=menu i],[role=tablist i],[role=toolbar i]";
  const UNDERSTANDING = "https://www.w3.org/WAI/WCAG22/Understanding/";
  const nameOf = (vNode) => axe.commons.text.accessibleTextVirtual(vNode).trim();
  const quoted = (text) => `"${text.replace(/[$`]/g, "").slice(0, 60)}${text.length > 60 ? "…" : ""}"`;
  const isShort = (element) => textOf(element).length <= LONG || ["aria-label", "aria-labelledby"].some((name) => attribute(element, name));
  const [checks, rules] = [[], []];
  const open = new Map();
  let run;
  const keep = (rule, element, name) => {
    if (run !== axe._tree) { run = axe._tree; open.clear(); }
    if (open.size < MAX_OPEN) open.set(element, [rule, name]);
    return "";
  };
  // `judge` returns why the element needs review, or '' if it does not.
  const rule = (id, spec, judge) => {
    const { impact, tags, help, description, understanding } = sightlineRules[id];
    const messages = { pass: "Its name says something", fail: "${data.why}", incomplete: "${data.why}" };
    checks.push({
      id: `${id}-says`,
      metadata: { impact, messages },
      evaluate(element, _options, vNode) {
        const why = judge(element, vNode);
        if (!why) return true;
        this.data({ why });
        return undefined;
      },
    });
    const metadata = { help, description, helpUrl: UNDERSTANDING + understanding };
    const selector = spec.selector.replaceAll(" i]", "]");  // axe-core's selectors do not support this flag
    rules.push({ id, impact, tags, any: [`${id}-says`], metadata, ...spec, selector });
  };

  const isVagueFor = (element) => (text) => isPhrase("vague", text, element) || isPhrase("nothing", text, element);
  const judgeControl = (element, vNode, what, saysNothing) => {
    const name = nameOf(vNode), said = plain(name);
    if (said === "") return "";
    if (saysNothing(said) && !sightlineAround.described(element)) return `The name ${quoted(name)} does not say ${what}`;
    const isVague = isVagueFor(element);
    if (!isPhrase("vague", said, element) || closest(element, NAVIGATION)) return undefined;
    return sightlineAround.hasContext(element, said, isVague) ? undefined :
      `The name ${quoted(name)} does not say ${what}, nor does what is around it`;
  };
  const LINK = "a[href],[role=link i]", BUTTON = "button,[role=button i],input[type=button i],input[type=submit i]";
  rule("link-meaning", {
    selector: LINK,
    matches: (element) => isShort(element) && !matches(element, BUTTON),
  }, (element, vNode) => {
    const why = judgeControl(element, vNode, "where the link leads", (said) => isPhrase("nothing", said, element));
    const isOpen = why === undefined || (why === "" && textOf(element).split(" ").length <= 4);
    if (isOpen && !closest(element, `${NAVIGATION},header,footer,[role=banner i],[role=contentinfo i]`))
      keep("link-meaning", element, nameOf(vNode));
    return why;
  });
  rule("link-meaning-alone", {
    selector: LINK,
    matches: (element) => isShort(element) && !matches(element, BUTTON) && !closest(element, NAVIGATION),
  }, (element, vNode) => {
    const name = nameOf(vNode);
    return isPhrase("vague", plain(name), element) ? `The name ${quoted(name)} alone does not say where the link leads` : "";
  });
  rule("button-meaning", {
    selector: BUTTON,
    matches: isShort,
  }, (element, vNode) => {
    const popup = ["aria-haspopup", "aria-expanded", "aria-controls"].some((name) => attribute(element, name) !== "");
    if ((popup || closest(element, "form")) && isPhrase("vague", plain(nameOf(vNode)), element)) return "";
    return judgeControl(element, vNode, "what the button does", (said) =>
      isPhrase("button", said, element) || (said.includes(" ") && isPhrase("nothing", said, element)));
  });

  const judgePicture = (element, vNode) => {
    const name = nameOf(vNode), said = plain(name);
    if (name === "") return "";
    if (isFileName(name, attribute(element, "src"))) return `The alternative text ${quoted(name)} is the name of a file`;
    if (isPunctuation(name)) return `The alternative text ${quoted(name)} has no word in it`;
    if (isPhrase("alt", said, element) || beginsLike("filler", `${said} `, element))
      return `The alternative text ${quoted(name)} stands for any picture`;
    if (beginsLike("picture_of", said, element))
      return `The alternative text ${quoted(name)} begins by saying that it is a picture, which screen readers say already`;
    if (sightlineAround.textsBeside(element).some((text) => plain(text) === said))
      return `The alternative text ${quoted(name)} is also the text beside the picture: it is read out twice`;
    const before = sightlineAround.pictureBefore(element);
    if (before && plain(attribute(before, "alt")) === said) return `The picture before has the alternative text ${quoted(name)}, too`;
    return keep("alt-meaning", element, name);
  };
  rule("alt-meaning", {
    selector: "img,[role=img i],input[type=image i]",
    matches: (element) => !matches(element, "img[alt=''],[role=none i],[role=presentation i]"),
  }, judgePicture);

  rule("heading-meaning", {
    selector: HEADINGS,
  }, (element, vNode) => {
    const name = nameOf(vNode), said = plain(name);
    if (said === "") return name && isPunctuation(name) ? `The heading ${quoted(name)} has no word in it` : "";
    if (isPhrase("heading", said, element) || beginsLike("filler", `${said} `, element))
      return `The heading ${quoted(name)} does not say what the section is about`;
    const before = sightlineAround.headingBefore(element);
    if (before && sightlineAround.levelOf(before) === sightlineAround.levelOf(element) && plain(textOf(before)) === said &&
      axe.commons.dom.isVisibleToScreenReaders(before)) return `The heading before is ${quoted(name)}, too`;
    return keep("heading-meaning", element, name);
  });

  rule("title-meaning", {
    selector: "html",
    matches: () => window.parent === window,
  }, (element) => {
    const title = Object.getOwnPropertyDescriptor(Document.prototype, "title").get.call(document).trim();
    if (title === "") return "";
    if (isPhrase("title", plain(title), element) || isPageFile(title) || beginsLike("filler", `${plain(title)} `, element))
      return `The title ${quoted(title)} does not say what the page is about`;
    return keep("title-meaning", element, title);
  });

  const FIELDS = "input:not([type=hidden i],[type=submit i],[type=button i],[type=reset i],[type=image i]),select,textarea";
  const TEXTS = "input:not([type]),input[type=text i],input[type=search i],input[type=email i],input[type=tel i],input[type=url i],textarea";
  const labelsOf = (element) => {
    const { get } = Object.getOwnPropertyDescriptor(
      { select: HTMLSelectElement, textarea: HTMLTextAreaElement }[element.localName]?.prototype ?? HTMLInputElement.prototype, "labels");
    return matches(element, FIELDS) ? [...(get.call(element) ?? [])] : [];
  };
  // A search field, or the only field beside a button that states its purpose (technique G167), needs no visible label.
  const isByItsButton = (element) => {
    if (matches(element, "[type=search i],[role=searchbox i]")) return true;
    const form = closest(element, "form,[role=search i],search") ?? parentOf(parentOf(element) ?? element);
    return !form || (all(form, TEXTS).length === 1 && all(form, BUTTON).length > 0);
  };
  rule("label-meaning", {
    selector: `${FIELDS},[role=textbox i],[role=combobox i],[role=searchbox i],[role=spinbutton i]`,
  }, (element, vNode) => {
    const name = nameOf(vNode), said = plain(name);
    if (said === "") return "";
    if (isPhrase("label", said, element)) return `The label ${quoted(name)} does not say what to fill in`;
    const hasOther = ["aria-label", "aria-labelledby", "title"].some((one) => attribute(element, one).trim() !== "") ||
      labelsOf(element).some((label) => textOf(label) !== "");
    if (!hasOther && said === plain(attribute(element, "placeholder")) && !isByItsButton(element))
      return `Only the placeholder ${quoted(name)} says what to fill in, and it goes when something is typed`;
    return keep("label-meaning", element, name);
  });

  const ERROR = "[role=alert i],[aria-live=assertive i],[class*=error i],[class*=invalid i],[id*=error i]";
  const hasFieldNear = (element) => {
    let at = parentOf(element);
    for (let steps = 0; at && steps < 4; steps++, at = parentOf(at)) if (all(at, FIELDS).length > 0) return true;
    return false;
  };
  const isTied = (element) => {
    for (let at = element, steps = 0; at && steps < 3; steps++, at = parentOf(at)) {
      const id = attribute(at, "id");
      const ties = id && ["describedby", "errormessage", "labelledby"].map((name) => `[aria-${name}~="${CSS.escape(id)}"]`).join();
      if (ties && all(sightlineAround.top(), ties).length > 0) return true;
    }
    return closest(element, "label,legend") !== null;
  };
  rule("error-meaning", {
    selector: ERROR,
    matches: (element) => textOf(element).length <= LONG && !matches(element, FIELDS) && all(element, `${FIELDS},${ERROR}`).length === 0,
  }, (element) => {
    const text = textOf(element), said = plain(text);
    if (said === "" || !hasFieldNear(element) || isTied(element)) return "";
    if (isPhrase("error", said, element)) return `The message ${quoted(text)} names no field, and none refers to it`;
    return keep("error-meaning", element, text);
  });

  axe.configure({ checks, rules });
  globalThis.sightlineOpen = open;
})()
