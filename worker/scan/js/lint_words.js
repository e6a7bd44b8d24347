// Decides whether a text says anything: phrases of lint/words.toml, file names, punctuation. Reads only the document's
// language.
const sightlineSays = (() => {
  // Longer texts are cut: the patterns below take up to quadratic time.
  const SHORT = 5, MAX_CHARS = 1000, PLAIN_END = /^[\s\p{P}\p{S}]+|[\s\p{P}\p{S}]+$/gu;
  const plain = (text) => String(text).slice(0, MAX_CHARS).toLowerCase().normalize("NFC").replaceAll("\u2019", "'")
    .replace(/[\u00ad\u200b-\u200d\u2060\ufeff]/g, "").replace(/\s+/g, " ").replace(PLAIN_END, "");
  const withoutNumber = (said) => said.replace(/[\s_.#-]*\d+$/, "");

  // Kind → phrase → its languages. Created on first use: most documents in frames never need it.
  let known;
  const phrases = (kind) => {
    known ??= Object.fromEntries(Object.entries(sightlinePhrases).map(([name, byLanguage]) => {
      const found = new Map();
      for (const [language, texts] of Object.entries(byLanguage))
        for (const text of texts) found.set(plain(text), [...(found.get(plain(text)) ?? []), language]);
      return [name, found];
    }));
    return known[kind];
  };
  const rootOf = (element) => Node.prototype.getRootNode.call(element);
  const languageOf = (element) => {
    for (let at = element; at; at = rootOf(at).host) {
      const around = Element.prototype.closest.call(at, "[lang]");
      if (around) return Element.prototype.getAttribute.call(around, "lang").split(/[-_]/)[0].toLowerCase();
    }
    return "";
  };
  const isOf = (languages, said, element) => {
    if (said.length > SHORT || languages.includes("en")) return true;
    const language = languageOf(element);
    return language === "" || languages.includes(language);
  };
  // Whether the whole text, with or without a number at the end, is a phrase of the kind.
  const isPhrase = (kind, said, element) => [said, withoutNumber(said)].some((text) => {
    const languages = phrases(kind).get(text);
    return languages !== undefined && isOf(languages, text, element);
  });
  const beginsLike = (kind, said, element) => [...phrases(kind)].some(([text, languages]) =>
    said.startsWith(`${text} `) && isOf(languages, text, element));

  const PICTURE = /[\w)\]%]\.(?:jpe?g|png|gif|webp|svg|avif|bmp|tiff?|ico|heic)(?:[?#]\S*)?$/i;
  const CAMERA = /^(?:img|dsc[nf]?|pxl|imag|image|picture|photo|foto|bild|scan|screenshot|screen shot|whatsapp image)[\s_-]*\d{2,}[\d\s_.:-]*(?:at .*)?$/i;
  const MADE = /^(?:[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i;
  const isFileName = (text, address) => {
    const name = text.trim().slice(0, MAX_CHARS);
    if (PICTURE.test(name) && name.split(/\s+/).length <= 5) return true;
    if (CAMERA.test(name) || (MADE.test(name) && /\d/.test(name))) return true;
    // A single word may describe the image and name its file: kettle.jpg, t-shirt.png.
    const looksMade = !/\s/.test(name) && (name.includes("_") || /\d{3}/.test(name) || /-.*-/.test(name));
    const stem = address.split(/[?#]/)[0].split("/").pop().replace(/\.\w{2,5}$/, "");
    return looksMade && stem !== "" && stem.toLowerCase() === name.toLowerCase();
  };
  const isPageFile = (text) => /^(?:https?:\/\/\S+|[\w%-]+\.(?:html?|php|aspx?|jsp|pdf|docx?))$/i.test(text.trim());
  // Emoji, stars and arrows have a meaning; dots and dashes have none.
  const isPunctuation = (text) => /^[\s.\-_*#~'"`,;:|/\\]+$/.test(text);
  return { plain, isPhrase, beginsLike, isFileName, isPageFile, isPunctuation };
})()
