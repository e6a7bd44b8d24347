// Drives axe-core inside our isolated world, after axe-core itself has been evaluated there. Evaluated once a frame.
// Each frame's part stays with the top frame, where `finish` merges them in the order of a depth-first walk.
(() => {
  if (Object.hasOwn(globalThis, "sightlineAudit")) return;
  // No page may talk to this axe-core by postMessage.
  axe.configure({ allowedOrigins: [] });
  const MAX_CHARS = 2000;
  // Half a surrogate pair cannot be written as UTF-8, and cutting can make one.
  const cut = (text) => String(text ?? "").slice(0, MAX_CHARS).toWellFormed();
  // What people read is marked where it was cut.
  const shown = (text) => {
    const whole = String(text ?? "");
    return whole.length > MAX_CHARS ? `${cut(whole.slice(0, MAX_CHARS - 1))}…` : cut(whole);
  };
  const cutAll = (target) => (Array.isArray(target) ? target.map(cutAll) : cut(target));
  const partials = [];

  // Documents whose scripts are off (a sandbox policy) run no timers, not even ours, and axe-core would wait for ever.
  // Messages and animation frames do arrive there.
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
  // Where we have stopped the page's scripts ourselves, it is known that no timers run.
  const isFrozen = Object.hasOwn(globalThis, "sightlineFrozen");
  const ready = (isFrozen ? Promise.resolve(false) : timersRun()).then((run) => { if (!run) replaceTimers(); });

  const boxOf = (target) => {
    const element = target.length === 1 ? axe.utils.shadowSelect(target[0]) : null;
    if (!element) return undefined;
    const box = element.getBoundingClientRect();
    return [box.left + scrollX, box.top + scrollY, box.width, box.height].map(Math.round);
  };
  const packNode = (node, withBoxes) => ({
    target: cutAll(node.target),
    ancestry: cutAll(node.ancestry),
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
    frames: (context, options) => axe.utils.getFrameContexts(context, options),
    frame: (selector) => axe.utils.shadowSelect(selector),
    runHere: async (context, options) => { await ready; partials.push(await axe.runPartial(context, options)); },
    run: async (context, options) => { await ready; return JSON.stringify(await axe.runPartial(context, options)); },
    receive: (partial) => { partials.push(partial); },
    reset: () => { partials.length = 0; },
    finish: async (options, maxNodes, withBoxes) => {
      const report = await axe.finishRun(partials, options);
      const pack = (rule) => packRule(rule, maxNodes, withBoxes);
      return JSON.stringify({ violations: report.violations.map(pack), incomplete: report.incomplete.map(pack) });
    },
  };
})()
