// Finds what moves, blinks or changes by itself and has no control. Evaluated after live.js.
(() => {
  if (Object.hasOwn(globalThis, "sightlineMotion")) return;
  const { around, attribute, boxOf, elements, isAsked, isShown, matches, nameOf, numberOf, short, textOf, channels, luminance, hasScripts } = sightlineLive;
  const LONGEST_MS = 5000, STEP_MS = 100, LEAST_AREA = 100, MAX_FOUND = 12, MAX_WATCHED = 200;
  // Each change extends the watch by this.
  const AGAIN_MS = 2300;
  // WCAG 2.3.1: a quarter of 10 degrees of the visual field, at 1024 x 768; a change of a tenth of the luminance.
  const FLASH_AREA = 341 * 256 / 4, FLASH_CHANGE = 0.1, FLASH_DARK = 0.8, MOST_FLASHES = 3;
  // Loading indicators and clocks.
  const WAITS = "[role=progressbar],[role=timer],[aria-busy=true],progress,meter,time,input,textarea,select,[contenteditable]";
  const WAITING = /spin|load|skeleton|shimmer|progress|pulse|caret|cursor/i;
  const ROTATES = /carousel|slider|slideshow|swiper|slick|ticker|marquee|rotat/i;
  const STOPS = new RegExp([
    "\\b(pause|stop|freeze|hide|halt|animation|motion|control changes)\\b", "pausar|pausa|parar|detener|ocultar|anima[cç]",
    "arrêter|masquer|suspendre|anhalten|ausblenden|bewegung|pauzeren|stoppen|verbergen|ferma|nascondi|wstrzymaj|zatrzymaj|ukryj",
    "пауза|остановить|скрыть|暂停|停止|隐藏|一時停止|非表示|일시정지|숨기기|إيقاف|إخفاء|stäng av|dölj|pausad|pysäytä|piilota",
  ].join("|"), "iu");
  const classes = (element) => `${attribute(element, "class") ?? ""} ${element.id}`;
  const isWaiting = (element) => [...around(element)].some((at) => matches(at, WAITS) || WAITING.test(classes(at)));
  const area = (element) => {
    const box = boxOf(element);
    return Math.max(0, Math.min(box.right, innerWidth) - Math.max(box.left, 0)) * Math.max(0, Math.min(box.bottom, innerHeight) - Math.max(box.top, 0));
  };
  const size = (element) => boxOf(element).width * boxOf(element).height;
  const counts = (element) => element instanceof Element && isAsked(element) && isShown(element) && size(element) >= LEAST_AREA && !isWaiting(element);
  // A control may be in a menu or a dialog that is closed.
  const canStop = () => [...elements()].some((element) =>
    matches(element, "button,[role=button],input[type=button],input[type=checkbox],[role=switch],[role=checkbox],summary,a[href]") &&
    STOPS.test(nameOf(element) || element.textContent));

  // On white.
  const lightness = (color) => 1 + channels(color)[3] * (luminance(color) - 1);
  // Pairs of opposing changes of the luminance.
  const flashes = (levels) => {
    let [turns, way, from] = [0, 0, levels[0]];
    for (const level of levels) {
      if (way > 0 ? level > from : way < 0 && level < from) from = level;
      if (Math.abs(level - from) < FLASH_CHANGE || Math.min(level, from) >= FLASH_DARK) continue;
      const to = Math.sign(level - from);
      if (to !== way) turns += 1;
      [way, from] = [to, level];
    }
    return Math.floor(turns / 2);
  };
  const levelOf = (element, { opacity, backgroundColor, visibility } = {}) => {
    const style = getComputedStyle(element);
    if ((visibility ?? style.visibility) === "hidden") return 1;
    const seen = Number(opacity ?? style.opacity);
    return 1 - seen + seen * lightness(backgroundColor ?? style.backgroundColor);
  };
  // How often the frames of an animation flash in a second; in both directions, it takes twice as long.
  const flashesOf = (animation, element) => {
    const frames = animation.effect.getKeyframes(), { duration, direction } = animation.effect.getComputedTiming();
    if (!frames.some((frame) => "opacity" in frame || "backgroundColor" in frame || "visibility" in frame)) return 0;
    const levels = frames.map((frame) => levelOf(element, frame));
    const round = /alternate/.test(direction) ? [...levels, ...levels.slice().reverse()] : levels;
    const rounds = duration / (/alternate/.test(direction) ? 500 : 1000);
    return rounds > 0 ? flashes([...round, ...round, ...round]) / 3 / rounds : 0;
  };
  // The page has been brought to rest before: rest.js knows what moved.
  const animations = () => {
    const running = document.getAnimations().filter((one) => one.playState === "running" && !(one instanceof CSSTransition));
    return [...new Set([...(globalThis.sightlineRest?.long() ?? []), ...running])];
  };
  const animated = () => animations().flatMap((animation) => {
    const element = animation.effect?.target;
    if (!counts(element)) return [];
    const { activeDuration, duration } = animation.effect.getComputedTiming();
    if (!animation.effect.getKeyframes().length || !(duration > 0)) return [];
    return [{ element, lasts: activeDuration, perSecond: area(element) >= FLASH_AREA ? flashesOf(animation, element) : 0 }];
  });
  const stateOf = (element) => {
    const box = boxOf(element), { opacity, backgroundColor, visibility } = getComputedStyle(element);
    const place = [box.left + scrollX, box.top + scrollY, box.width, box.height].map(Math.round);
    return [place, opacity, backgroundColor, visibility, element.currentSrc ?? "", element.childElementCount ? "" : textOf(element)].join("|");
  };
  // The elements that scripts change, each with the times at which it then looked different and its luminance.
  const watch = async (shortMs, longMs) => {
    const watched = new Map();
    const begun = performance.now();
    const add = (node) => {
      const element = node instanceof Element ? node : node?.parentElement;
      if (element && element !== document.body && element !== document.documentElement && !watched.has(element) && watched.size < MAX_WATCHED)
        watched.set(element, { state: null, times: [], levels: [] });
    };
    const observer = new MutationObserver((records) => {
      for (const { target } of records) add(target);
      until = Math.min(longMs, Math.max(until, performance.now() - begun + AGAIN_MS));
    });
    observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["style", "class", "src", "transform", "hidden"] });
    const rotating = [...elements()].filter((element) => ROTATES.test(classes(element)) && counts(element)).slice(0, 20);
    for (const one of rotating) for (const inner of [one, ...one.querySelectorAll("*")].slice(0, 40)) add(inner);
    // Nothing changes by itself where no script runs.
    let until = !hasScripts() ? 0 : rotating.length > 0 ? longMs : Math.min(shortMs, longMs);
    for (let now = 0; now < until; now = performance.now() - begun) {
      for (const [element, seen] of watched) {
        if (!element.isConnected || !isShown(element)) { if (seen.state !== "") { seen.times.push(now); seen.state = ""; } continue; }
        const state = stateOf(element);
        if (seen.state !== null && state !== seen.state) seen.times.push(now);
        seen.state = state;
        seen.levels.push([now, levelOf(element)]);
      }
      await new Promise((resolve) => setTimeout(resolve, STEP_MS / 2));
    }
    observer.disconnect();
    // Whether something was still to be watched when the time was over.
    return { watched, rotating, isRestless: hasScripts() && until >= longMs };
  };
  const lasting = ({ watched, rotating }) => [...watched].flatMap(([element, { times, levels }]) => {
    if (!counts(element)) return [];
    const inRotating = rotating.some((one) => one.contains(element));
    const isLasting = inRotating ? times.length > 0 : times.at(-1) >= LONGEST_MS - 1500 && new Set(times.map((time) => Math.floor(time / 1000))).size >= 3;
    const inSecond = levels.filter(([time]) => time >= levels[0][0] && time < levels[0][0] + 1000).map(([, level]) => level);
    const perSecond = area(element) >= FLASH_AREA && inSecond.length > 6 ? flashes(inSecond) : 0;
    return isLasting || perSecond > MOST_FLASHES ? [{ element, lasts: isLasting ? Infinity : 0, times: times.length, perSecond }] : [];
  });
  const films = () => [...elements()].filter((one) =>
    one instanceof HTMLVideoElement && one.autoplay && !one.controls && counts(one) && (one.loop || one.duration > LONGEST_MS / 1000));
  const outermost = (found) => found.filter(({ element }) => !found.some((other) => other.element !== element && other.element.contains(element)));
  const look = async (shortMs, longMs) => {
    const running = animated();
    const seen = await watch(shortMs, longMs), changing = lasting(seen);
    const said = ({ element, how, perSecond }) => ({ number: numberOf(element), how, perSecond: Math.round(perSecond * 10) / 10, text: short(nameOf(element)) });
    const flashing = [...running, ...changing].filter(({ perSecond }) => perSecond > MOST_FLASHES);
    const moving = [
      ...running.filter(({ lasts }) => lasts > LONGEST_MS).map(({ element, lasts }) => ({ element, how: Number.isFinite(lasts) ? `moves by itself for ${Math.round(lasts / 1000)} s` : "moves by itself without end", perSecond: 0 })),
      ...films().map((element) => ({ element, how: "plays by itself", perSecond: 0 })),
      ...changing.filter(({ lasts }) => lasts > LONGEST_MS).map(({ element, times }) => ({ element, how: `changed ${times} ${times === 1 ? "time" : "times"} while nothing was done`, perSecond: 0 })),
    ];
    const unstopped = moving.length && !canStop() ? outermost(moving) : [];
    return { isRestless: seen.isRestless, count: unstopped.length, moving: unstopped.slice(0, MAX_FOUND).map(said), flashing: outermost(flashing).slice(0, MAX_FOUND).map(said) };
  };
  // Images that may be animated GIFs, with their addresses; '' for one longer than `mostChars`.
  const pictures = (mostChars) => [...elements()].filter((one) => one instanceof HTMLImageElement && one.naturalWidth > 0 &&
    /^(https?|data):/.test(one.currentSrc) && /\.gif|image\/gif/i.test(one.currentSrc) && counts(one)).slice(0, 12)
    .map((element) => ({ number: numberOf(element), url: element.currentSrc.length > mostChars ? "" : element.currentSrc }));
  globalThis.sightlineMotion = { look, pictures, canStop };
})()
