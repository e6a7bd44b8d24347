// Measures contrast between the screenshots of one view, PNGs in base64 by name. Returns for the boxes of each text the
// lowest and the highest ratio, or null. Evaluated in Sightline's isolated world.
async (images, all) => {
  const LEAST_PIXELS = 8;
  // Of 255: less is noise. As a share of the text's strongest mark: less is a letter's edge.
  const LEAST_MARK = 24;
  const RIM = 0.4;
  const MARK = [255, 0, 255];
  const NEAR = 80;
  const AROUND = 2;
  // A few pixels in a thousand must not decide.
  const TAIL = 0.02;
  const linear = Float64Array.from({ length: 256 }, (_, i) => {
    const share = i / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const luminance = (data, i) => 0.2126 * linear[data[i]] + 0.7152 * linear[data[i + 1]] + 0.0722 * linear[data[i + 2]];
  const ratio = (one, other, i) => {
    const [a, b] = [luminance(one, i), luminance(other, i)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const distance = (one, other, i) =>
    Math.max(Math.abs(one[i] - other[i]), Math.abs(one[i + 1] - other[i + 1]), Math.abs(one[i + 2] - other[i + 2]));
  const isNearMark = (data, i) => MARK.every((value, channel) => Math.abs(data[i + channel] - value) < NEAR);

  const bytesOf = (text) => Uint8Array.fromBase64?.(text) ?? Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const draw = async (text) => {
    const bitmap = await createImageBitmap(new Blob([bytesOf(text)], { type: "image/png" }));
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const paper = canvas.getContext("2d", { willReadFrequently: true });
    paper.drawImage(bitmap, 0, 0);
    bitmap.close();
    return { paper, width: canvas.width, height: canvas.height };
  };
  const pieceOf = (shots, [left, top, right, bottom]) => {
    const [x, y] = [Math.max(0, Math.floor(left)), Math.max(0, Math.floor(top))];
    const width = Math.min(shots.clear.width, Math.ceil(right)) - x;
    const height = Math.min(shots.clear.height, Math.ceil(bottom)) - y;
    if (width < 1 || height < 1) return null;
    const data = ([name, { paper }]) => [name, paper.getImageData(x, y, width, height).data];
    return { width, ...Object.fromEntries(Object.entries(shots).map(data)) };
  };
  const strengthOf = ({ clear, mark }) => {
    let strongest = 0;
    for (let i = 0; i < clear.length; i += 4) strongest = Math.max(strongest, distance(mark, clear, i));
    return strongest;
  };
  // On a letter or next to it: a shadow directly beneath a letter gives it no contrast.
  const lettersOf = ({ clear, mark, width }, least) => {
    const size = clear.length / 4;
    const letters = new Uint8Array(size);
    for (let i = 0; i < size; i += 1) letters[i] = distance(mark, clear, 4 * i) >= least || isNearMark(clear, 4 * i) ? 1 : 0;
    const across = letters.slice(), around = new Uint8Array(size);
    for (let i = 0; i < size; i += 1) {
      if (!letters[i]) continue;
      const x = i % width;
      for (let by = -AROUND; by <= AROUND; by += 1) if (x + by >= 0 && x + by < width) across[i + by] = 1;
    }
    for (let i = 0; i < size; i += 1) {
      if (!across[i]) continue;
      for (let by = -AROUND; by <= AROUND; by += 1) {
        const at = i + by * width;
        if (at >= 0 && at < size) around[at] = 1;
      }
    }
    return [letters, around];
  };
  const sorted = (values) => Float64Array.from(values).sort();
  const share = (values, part) => values[Math.min(values.length - 1, Math.floor(values.length * part))];
  // The lowest and the highest ratio in tenths, rounded down; null if no letters are visible, or not in their colour.
  const measure = (shots, boxes) => {
    const pieces = boxes.map((box) => pieceOf(shots, box)).filter(Boolean);
    const strongest = Math.max(0, ...pieces.map(strengthOf));
    if (strongest < LEAST_MARK) return null;
    const found = [], drawn = [], filled = [];
    for (const piece of pieces) {
      const [letters, around] = lettersOf(piece, strongest * RIM);
      around.forEach((is, i) => { if (is) found.push(ratio(piece.fill, piece.clear, 4 * i)); });
      letters.forEach((is, i) => {
        if (!is) return;
        drawn.push(ratio(piece.plain, piece.clear, 4 * i));
        filled.push(ratio(piece.fill, piece.clear, 4 * i));
      });
    }
    if (drawn.length < LEAST_PIXELS) return null;
    // Letters with more contrast than their colour has were not painted in that colour alone.
    if (share(sorted(drawn), 1 - TAIL) > share(sorted(filled), 1 - TAIL) * 1.2 + 0.2) return null;
    const ratios = sorted(found);
    return [share(ratios, TAIL), share(ratios, 1 - TAIL)].map((value) => Math.floor(value * 10 + 1e-6));
  };
  const drawn = Object.entries(images).map(async ([name, text]) => [name, await draw(text)]);
  const shots = Object.fromEntries(await Promise.all(drawn));
  return all.map((boxes) => measure(shots, boxes));
}
