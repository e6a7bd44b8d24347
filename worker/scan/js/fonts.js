// Returns the writing systems that the browser draws as boxes: for samples, on a blank page; or for a page's text, with
// its fonts. `scripts` maps each name to a pattern of its characters; `samples`, if given, are drawn instead of the
// page's text.
((scripts, samples) => {
  // Created for the first character that is drawn: most pages have no doubtful one.
  let made;
  const paper = () => {
    if (made) return made;
    const canvas = Document.prototype.createElement.call(document, "canvas");
    canvas.width = canvas.height = 40;
    made = HTMLCanvasElement.prototype.getContext.call(canvas, "2d", { willReadFrequently: true });
    return made;
  };
  const drawn = (text, family) => {
    const context = paper();
    context.clearRect(0, 0, 40, 40);
    context.font = `24px ${family}`;
    context.fillText(text, 4, 30);
    return context.getImageData(0, 0, 40, 40).data.join();
  };
  // No font has a glyph for an unassigned code point, so this is how the font draws a missing glyph.
  const isMissing = (char, family) => drawn(char, family) === drawn("\u0378", family);
  const generic = ["sans-serif", "serif", "monospace", "system-ui", "cursive"];
  if (samples) {
    const missing = Object.keys(samples).filter((name) => [...samples[name]].every((char) => isMissing(char, generic[0])));
    const text = `Hamburgefonstiv 0123${Object.values(samples).join("")}`;
    const context = paper();
    const widths = generic.map((family) => {
      context.font = `100px ${family}`;
      const size = context.measureText(text);
      return [size.width, size.fontBoundingBoxAscent, size.fontBoundingBoxDescent, context.measureText("mil").width];
    });
    return { missing, drawn: JSON.stringify([widths, missing, generic.map((family) => drawn("g", family))]) };
  }
  const body = Object.getOwnPropertyDescriptor(Document.prototype, "body").get.call(document);
  const walker = body && Document.prototype.createTreeWalker.call(document, body, NodeFilter.SHOW_TEXT);
  const patterns = Object.entries(scripts).map(([name, ranges]) => [name, new RegExp(ranges, "u")]);
  const found = new Set();
  const tried = new Set();
  for (let left = 20000, node; left > 0 && walker && (node = walker.nextNode()); left -= 1) {
    for (const [name, pattern] of patterns) {
      const char = found.has(name) ? null : pattern.exec(node.data.slice(0, 1000))?.[0];
      const parent = char && node.parentElement;
      if (!parent || !Element.prototype.checkVisibility.call(parent)) continue;
      const family = getComputedStyle(parent).fontFamily;
      if (tried.size >= 100 || tried.has(`${name} ${family}`)) continue;
      tried.add(`${name} ${family}`);
      if (isMissing(char, family)) found.add(name);
    }
  }
  return [...found];
})
