// Cuts boxes out of a screenshot, a PNG in base64: left, top, width, and height of each. Returns JPEGs in base64.
// Evaluated in Sightline's isolated world. Not by "convertToBlob", which waits for the page to be idle, up to a second.
async (image, boxes, quality) => {
  const bytes = Uint8Array.fromBase64?.(image) ?? Uint8Array.from(atob(image), (char) => char.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = Document.prototype.createElementNS.call(document, "http://www.w3.org/1999/xhtml", "canvas");
  const paper = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  const crops = boxes.map(([left, top, width, height]) => {
    [canvas.width, canvas.height] = [width, height];
    paper.drawImage(bitmap, -left, -top);
    return canvas.toDataURL("image/jpeg", quality).split(",")[1];
  });
  bitmap.close();
  return crops;
}
