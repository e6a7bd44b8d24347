// Drives axe-core in Sightline's isolated world, after axe-core has been evaluated there. Evaluated once per frame.
//
// axe-core writes selector, ancestry and XPath of every element that it examined, in time quadratic in their number.
// Here an element is a pair [frame, number in that frame] until it is known which ones are reported: `names` writes the
// selectors of those, by axe-core's own function. Each frame's results are kept in the top frame, where `finish` merges
// them in the order of a depth-first walk.
(() => {
  // No page may reach this axe-core by postMessage.
  axe.configure({ allowedOrigins: [] });
  const MAX_CHARS = 2000;
  // Half a surrogate pair cannot be encoded as UTF-8, and truncation can create one.
  const cut = (text) => String(text ?? "").slice(0, MAX_CHARS).toWellFormed();
  // Truncated text that people read gets an ellipsis.
  const shown = (text) => {
    const whole = String(text ?? "");
    return whole.length > MAX_CHARS ? `${cut(whole.slice(0, MAX_CHARS - 1))}…` : cut(whole);
  };
  const cutAll = (target) => (Array.isArray(target) ? target.map(cutAll) : cut(target));
  const partials = [];
  let number = 0, elements = [], frames = [], selectorData;

  // Documents whose scripts are disabled (a sandbox policy) run no timers, not even Sightline's, so axe-core would
  // never finish. Messages and animation frames are delivered there.
  const post = (run) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = run; port2.postMessage(0); };
  const replaceTimers = () => {
    const waiting = new Set();
    let last = 0;
    globalThis.setTimeout = (run, ms = 0, ...rest) => {
      const timer = ++last;
      const due = performance.now() + ms;
      const next = ms > 1 ? requestAnimationFrame.bind(globalThis) : post;
      const look = () => {
        if (!waiting.has(timer)) return;
        if (performance.now() < due) return void next(look);
        waiting.delete(timer);
        run(...rest);
      };
      waiting.add(timer);
      next(look);
      return timer;
    };
    globalThis.clearTimeout = (timer) => void waiting.delete(timer);
  };
  const timersRun = () => new Promise((resolve) => {
    const limit = performance.now() + 100;
    setTimeout(resolve, 0, true);
    const look = () => (performance.now() < limit ? post(look) : resolve(false));
    post(look);
  });
  // If Sightline has stopped the page's scripts, no timers run.
  const isFrozen = Object.hasOwn(globalThis, "sightlineFrozen");
  const ready = (isFrozen ? Promise.resolve(false) : timersRun()).then((run) => { if (!run) replaceTimers(); });

  // Equivalent to axe.utils.getAncestry, which counts the siblings of each element anew for each call.
  const positions = new Map(), paths = new Map();
  const nthChild = (element, parent) => {
    if (!positions.has(element)) Array.from(parent.children).forEach((child, i) => positions.set(child, i + 1));
    return `:nth-child(${positions.get(element)})`;
  };
  const pathOf = (element) => {
    let path = paths.get(element);
    if (path !== undefined) return path;
    const { nodeName, parentElement, parentNode } = element;
    const name = axe.utils.escapeSelector(nodeName.toLowerCase());
    const isOnly = name === "head" || name === "body" || !(parentNode?.children.length > 1);
    path = (parentElement ? `${pathOf(parentElement)} > ` : "") + name + (isOnly ? "" : nthChild(element, parentNode));
    paths.set(element, path);
    return path;
  };
  const ancestryOf = (element) => {
    const path = [pathOf(element)];
    for (let root = element.getRootNode(); root.nodeType === 11; root = root.host.getRootNode()) {
      if (!root.host) return "";
      path.unshift(pathOf(root.host));
    }
    return path.length > 1 ? path : path[0];
  };

  axe.utils.nodeSerializer.update({
    toSpec: (node) => ({
      selector: [[number, elements.push(node) - 1]],
      ancestry: [ancestryOf(node.element)],
      source: node.source,
      nodeIndexes: node.nodeIndexes,
      fromFrame: node.fromFrame,
    }),
    mergeSpecs: (child, frame) => ({
      ...child,
      selector: [...frame.selector, ...child.selector],
      ancestry: [...frame.ancestry, ...child.ancestry],
      nodeIndexes: [...frame.nodeIndexes, ...child.nodeIndexes],
      fromFrame: true,
    }),
  });
  // Finding a short selector searches the whole page. After `end`, the element's path is its selector.
  const nameOf = (i, end = Infinity) => {
    const ancestry = ancestryOf(elements[i].element);
    const selector = performance.now() < end ? elements[i].selector[0] : ancestry;
    return [i, { target: cutAll(selector), ancestry: cutAll(ancestry), place: sightlinePlace(elements[i].element) }];
  };
  // Naming may take half of the remaining time.
  const names = (numbers, leftMs = Infinity) => {
    const end = performance.now() + leftMs / 2;
    axe._selectorData = selectorData;
    try {
      return sightlineShadowing.within(() => numbers.map((i) => nameOf(i, end)));
    } finally {
      axe._selectorData = undefined;
    }
  };
  // While a form's fields are detached from it, the HTML of the fields and of their ancestors differs from the page's.
  const putSourcesBack = (partial) => {
    for (const node of [...partial.frames, ...partial.results.flatMap((rule) => rule.nodes.map((result) => result.node))]) {
      const { element } = elements[node.selector[0][1]];
      if (!sightlineShadowing.touches(element)) continue;
      node.source = new axe.utils.DqElement(sightlineShadowing.plain(element)).source;
    }
  };

  // Rules run within one task of the browser, so each checks the clock itself, before each element. A rule may take
  // half of the remaining time (the last one all of it), and half of its own time to select its elements, so that no
  // rule uses up the others' time. The slowest ones run last. What a rule has found when its time is up is kept, unless
  // it compares elements with each other.
  const SLOWEST = ["link-in-text-block", "target-size", "color-contrast-enhanced", "color-contrast"];
  axe._audit.rules.sort((a, b) => SLOWEST.indexOf(a.id) - SLOWEST.indexOf(b.id));
  // The share of the remaining time for the rules; the rest is for frames, merging and naming. Merging a page with many
  // failing elements takes about MERGE times as long as reading the page before the rules, on fast and slow machines.
  const SHARE = 0.75, SHARE_BESIDE_FRAMES = 0.6, MERGE = 3, LEAST_SHARE = 0.5;
  let begun = 0, until = 0, end = 0, rulesToRun = 0, isSkipped = false;
  const leftOut = new Set(), cutShort = new Set();
  const { isLate } = sightlineClock;
  const Rule = Object.getPrototypeOf(axe._audit.rules[0]);
  const { run: runRule, runChecks, gatherAndMatchNodes } = Rule;
  const compares = ({ any, all, none }) => [...any, ...all, ...none].some((check) => axe._audit.checks[check.id ?? check].after);
  Rule.run = function (context, options, resolve, reject) {
    const now = performance.now();
    const leaveOut = () => { leftOut.add(this.id); resolve(null); };
    const keep = (result) => (cutShort.has(this.id) && compares(this) ? leaveOut() : resolve(result));
    sightlineClock.end = rulesToRun-- > 1 ? now + (end - now) / 2 : end;
    if (now > end) return leaveOut();
    return runRule.call(this, context, options, keep, reject);
  };
  Rule.gatherAndMatchNodes = function (...given) {
    const ends = sightlineClock.end, now = performance.now();
    sightlineClock.end = now + (ends - now) / 2;
    try {
      return gatherAndMatchNodes.apply(this, given);
    } finally {
      sightlineClock.end = ends;
    }
  };
  // An element is examined by all checks of a rule or by none: "any" is the first of the three groups.
  Rule.runChecks = function (type, node, options, context, resolve, reject) {
    const skip = () => { cutShort.add(this.id); resolve({ type, results: [] }); };
    if (type === "any") isSkipped = isLate();
    if (isSkipped) return skip();
    return runChecks.call(this, type, node, options, context, resolve, (error) => (isLate() ? skip() : reject(error)));
  };
  for (const rule of axe._audit.rules) {
    const { matches } = rule;
    rule.matches = function (...given) {
      try {
        sightlineClock.check();
        return matches.apply(this, given);
      } catch (error) {
        if (!isLate()) throw error;
        cutShort.add(rule.id);
        return false;
      }
    };
  }
  const runAudit = axe._audit.run;
  axe._audit.run = function (context, options, ...rest) {
    ({ frames } = context);
    selectorData = axe._selectorData;
    for (const field of sightlineShadowing.changed()) {
      const record = selectorData._nodeRecords[selectorData._elmToIdx.get(field)];
      if (record) record.featureAttrs = record.featureAttrs.filter((name) => !name.includes(sightlineShadowing.mark));
    }
    const now = performance.now(), left = until - now;
    const forRules = Math.min(left * (frames.length > 0 ? SHARE_BESIDE_FRAMES : SHARE), left - MERGE * (now - begun));
    end = now + Math.max(left * LEAST_SHARE, forRules);
    rulesToRun = this.rules.filter((rule) => axe.utils.ruleShouldRun(rule, context, options)).length;
    return runAudit.call(this, context, options, ...rest);
  };

  const run = async (frame, context, options, leftMs) => {
    await ready;
    [number, elements] = [frame, []];
    for (const known of [positions, paths, leftOut, cutShort]) known.clear();
    begun = performance.now();
    until = begun + leftMs;
    sightlineKnown = new WeakMap();
    sightlineShadowing.lift();
    let partial;
    try {
      partial = await axe.runPartial(context, options);
    } finally {
      sightlineClock.end = Infinity;
      sightlineShadowing.putBack();
    }
    putSourcesBack(partial);
    return partial;
  };
  const hasFailed = ({ any, all, none }) =>
    (any.length > 0 && !any.some((check) => check.result)) || all.some((check) => !check.result) ||
    none.some((check) => check.result !== false);
  // A rule that ran out of time before it found anything counts as left out.
  const about = ({ results }) => {
    const found = results.filter((rule) => cutShort.has(rule.id) && rule.nodes.some(hasFailed)).map((rule) => rule.id);
    return {
      frames: frames.map(({ node, ...context }) => context),
      leftOut: [...new Set([...leftOut, ...cutShort])].filter((rule) => !found.includes(rule)),
      cutShort: found,
    };
  };

  const boxOf = (target) => {
    if (target.length !== 1) return undefined;
    const box = elements[target[0][1]].element.getBoundingClientRect();
    return [box.left + scrollX, box.top + scrollY, box.width, box.height].map(Math.round);
  };
  // For an image that did not load, the browser draws the alternative text.
  const isDrawn = (element) => element.localName !== "img" || element.naturalWidth > 0;
  const packNode = (node, withBoxes) => ({
    target: node.target,
    html: shown(node.html),
    summary: shown(node.failureSummary),
    impact: node.impact,
    ...(withBoxes ? { box: boxOf(node.target) } : {}),
  });
  const packRule = (rule, maxNodes, withBoxes) => ({
    id: rule.id,
    impact: rule.impact,
    tags: rule.tags,
    help: rule.help,
    helpUrl: rule.helpUrl,
    description: rule.description,
    nodeCount: rule.nodes.length,
    nodes: rule.nodes.slice(0, maxNodes).map((node) => packNode(node, withBoxes)),
  });

  globalThis.sightlineAudit = {
    names,
    element: (i) => elements[i].element,
    // Describes elements that no rule examined, as `names` and a rule describe examined ones.
    describe: (wanted) => sightlineShadowing.within(() => {
      axe._selectorData ??= selectorData;
      try {
        const numbers = wanted.map((element) => elements.push(new axe.utils.DqElement(element)) - 1);
        return numbers.map((i) => ({ ...nameOf(i)[1], html: shown(elements[i].source) }));
      } finally {
        axe._selectorData = undefined;
      }
    }),
    frame: (i) => frames[i].node,
    frameName: (i) => cut(ancestryOf(frames[i].node)),
    undecided: (most) => {
      const { language, found } = sightlineUndecided(new Map(elements.map(({ element }, i) => [element, i])), most);
      const sources = found.map((one) => ({
        ...one,
        html: shown(elements[one.number].source).slice(0, 400),
        ...(one.rule === "alt-meaning" && isDrawn(elements[one.number].element) ? { box: boxOf([[0, one.number]]) } : {}),
      }));
      return JSON.stringify({ language, found: sources, names: names(found.map((one) => one.number)) });
    },
    reset: () => { partials.length = 0; },
    runHere: async (context, options, leftMs) => {
      partials.push(await run(0, context, options, leftMs));
      return about(partials[0]);
    },
    // A frame may be gone by the time its elements are named, so those that are likely to be reported are named at
    // once.
    run: async (frame, context, options, leftMs, maxNodes) => {
      const partial = await run(frame, context, options, leftMs);
      const likely = partial.results.flatMap((rule) => rule.nodes.filter(hasFailed).slice(0, maxNodes));
      const nodes = [...partial.frames, ...likely.map((result) => result.node)];
      return {
        ...about(partial),
        partial: JSON.stringify(partial),
        names: names([...new Set(nodes.map((node) => node.selector[0][1]))], until - performance.now()),
      };
    },
    receive: (partial) => { partials.push(partial); },
    finish: async (options, maxNodes, withBoxes, leftMs) => {
      const limit = performance.now() + leftMs;
      const report = await axe.finishRun(partials, options);
      const pack = (rule) => packRule(rule, maxNodes, withBoxes);
      const packed = sightlineShadowing.within(() =>
        ({ violations: report.violations.map(pack), incomplete: report.incomplete.map(pack) }));
      const nodes = Object.values(packed).flat().flatMap((rule) => rule.nodes);
      const numbers = [...new Set(nodes.map((node) => node.target[0][1]))];
      return JSON.stringify({ ...packed, names: names(numbers, limit - performance.now()) });
    },
  };
})()
