// Finds media that play by themselves with sound for longer than 3 s and have no control. Evaluated after live.js.
(() => {
  if (Object.hasOwn(globalThis, "sightlineMedia")) return;
  const { elements, isShown, isAsked, nameOf, numberOf, matches, boxOf } = sightlineLive;
  const LONGEST_S = 3, LOOK_MS = 50, MAX_FOUND = 12;
  const STOPS = new RegExp([
    "\\b(pause|stop|mute|silence|unmute|sound|volume|audio off)\\b", "pausar|pausa|parar|detener|silenciar|sonido|sem som",
    "arrêter|couper|muet|\\bson\\b|anhalten|stumm|\\bton\\b|lautlos|dempen|pauzeren|stoppen|geluid|silenzia|ferma|muto",
    "wycisz|zatrzymaj|wstrzymaj|пауза|стоп|звук|暂停|停止|静音|一時停止|消音|ミュート|일시정지|음소거|إيقاف|كتم",
    "pausad|stäng av|tysta|lyd|slå av|mykistä|pysäytä",
  ].join("|"), "iu");
  const startOf = (media) => parseFloat(/#t=(?:npt:)?([\d.]+)/.exec(media.currentSrc || media.src)?.[1] ?? "0") || 0;
  const endOf = (media) => parseFloat(/#t=(?:npt:)?[\d.]*,([\d.]+)/.exec(media.currentSrc || media.src)?.[1] ?? "NaN");
  const lastsFor = (media) => {
    if (media.loop) return Infinity;
    const end = Number.isNaN(endOf(media)) ? media.duration : Math.min(endOf(media), media.duration);
    return end - Math.max(startOf(media), 0);
  };
  const isHeard = (media) => !media.muted && !media.defaultMuted && media.volume > 0;
  const playsItself = (media) => media.autoplay || (!media.paused && media.currentTime > 0);
  // The first seconds of a film are decoded before it plays: silence takes next to nothing there, next to the pictures.
  const SILENT_BYTES = 400, PICTURE_BYTES = 4000;
  const hasSound = (media) => {
    if (media instanceof HTMLAudioElement) return true;
    if (media.webkitVideoDecodedByteCount > PICTURE_BYTES) return media.webkitAudioDecodedByteCount > SILENT_BYTES;
    if (media.webkitAudioDecodedByteCount > 0) return true;
    try {
      return media.captureStream().getAudioTracks().length > 0;
    } catch { return true; }
  };
  const controls = (media) => {
    if (media.controls && isShown(media) && boxOf(media).width > 0) return true;
    for (const element of elements()) {
      if (!matches(element, "button,[role=button],input[type=button],input[type=checkbox],[role=switch],[role=checkbox],a[href],summary")) continue;
      if (isShown(element) && boxOf(element).width > 1 && STOPS.test(nameOf(element))) return true;
    }
    return false;
  };
  const look = async (limitMs) => {
    const found = [], until = performance.now() + limitMs;
    const all = [...elements()].filter((one) => one instanceof HTMLMediaElement && isAsked(one) && playsItself(one) && isHeard(one));
    for (const media of all) {
      const isKnown = () => media.error !== null || media.networkState === 3 || media.readyState >= 3;
      while (!isKnown() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      if (media.error !== null || media.networkState === 3 || (media.readyState < 1 && !media.currentSrc)) continue;
      const lasts = lastsFor(media);
      if (lasts <= LONGEST_S || controls(media) || !hasSound(media)) continue;
      found.push({ number: numberOf(media), seconds: Number.isFinite(lasts) ? lasts.toFixed(1) : media.loop ? "without end" : "unknown" });
    }
    return { count: found.length, found: found.slice(0, MAX_FOUND) };
  };
  globalThis.sightlineMedia = { look };
})()
