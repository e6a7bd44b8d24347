"use strict";

// Search and filters of the report. All content is available without the script: <details> does not need it.
(() => {
  const byId = (id) => document.getElementById(id);
  const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
  const search = byId("search");
  const status = byId("status");
  const marks = byId("marks");
  const group = byId("group");
  const impacts = [...document.querySelectorAll('input[name="impact"]')];
  const components = [...document.querySelectorAll("details.component")].map((element) => ({
    element,
    component: element.id.slice(10),
    name: element.querySelector("h3").textContent,
    impact: element.dataset.impact,
    rule: element.dataset.rule.toLowerCase(),
    marks: element.dataset.marks.split(" "),
    groups: JSON.parse(element.dataset.groups),
  }));
  // A page's content is read only once it is opened, searched or filtered: 5,000 pages name 100,000 components.
  const all = [...document.querySelectorAll("details.page")].map((element) => ({
    element,
    status: element.dataset.status,
    group: element.closest(".group")?.dataset.group ?? "",
    isDoubtful: "doubt" in element.dataset,
  }));
  const pageOf = new Map(all.map((page) => [page.element, page]));
  const groups = [...document.querySelectorAll(".group")];
  let want;

  const componentOf = (line) => components[line.querySelector("a").getAttribute("href").slice(11) - 1];
  const textOf = (one) => (one.text ??= one.element.textContent.toLowerCase());
  const headOf = (page) => (page.head ??= ["summary", ".address"]
    .map((part) => page.element.querySelector(part).textContent).join(" ").toLowerCase());

  function findingsOf(page) {
    page.findings ??= [...page.element.querySelectorAll("article.finding, .briefs > li")].map((element) => {
      const of = element.matches("li") ? componentOf(element) : undefined;
      const { impact, rule, marks } = element.dataset;
      return { element, of, impact: of?.impact ?? impact, rule: of?.rule ?? rule.toLowerCase(), marks: (marks ?? "").split(" ") };
    });
    return page.findings;
  }

  // A page links to its components by number, as names would be most of a large file; the script inserts the names.
  function nameComponents(page) {
    const list = page.element.querySelector(".briefs:not(.named)");
    if (!list) return;
    list.classList.add("named");
    for (const line of list.children) {
      const of = componentOf(line);
      line.querySelector("a").textContent = of.name;
      line.classList.add(of.impact);
    }
  }

  // The query: words that must all occur, and at most one "rule:image-alt" or "component:3", which are exact.
  function wanted() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const asked = {
      words: words.filter((word) => !/^(?:rule|component):/.test(word)),
      component: words.find((word) => word.startsWith("component:"))?.slice(10) ?? "",
      rule: words.find((word) => word.startsWith("rule:"))?.slice(5) ?? "",
      impacts: new Set(impacts.filter((box) => box.checked).map((box) => box.value)),
      mark: marks?.value ?? "",
      group: group?.value ?? "",
      status: status.value,
    };
    asked.isOfFindings = Boolean(words.length || asked.mark) || asked.impacts.size < impacts.length;
    // Which words each component contains, searched once rather than on each of its pages.
    asked.isFound = new Map(components.map((one) => [one, asked.words.map((word) => textOf(one).includes(word))]));
    return asked;
  }

  function fits(page, finding) {
    const of = finding.of ?? finding;
    if (want.rule && finding.rule !== want.rule) return false;
    if (want.component && of.component !== want.component) return false;
    if (want.mark && !finding.marks.includes(want.mark)) return false;
    if (finding.impact !== "review" && !want.impacts.has(finding.impact)) return false;
    const found = want.isFound.get(of);
    return want.words.every((word, at) => (found ? found[at] : textOf(finding).includes(word)) || (page && headOf(page).includes(word)));
  }

  function applyToComponents() {
    let shown = 0;
    for (const one of components) {
      const isShown = fits(undefined, one) && (!want.group || one.groups.includes(want.group));
      one.element.classList.toggle("is-hidden", !isShown);
      shown += isShown;
    }
    if (components.length)
      byId("components-shown").textContent = `${plural(shown, "component barrier")} of ${components.length.toLocaleString("en")}`;
  }

  // Shows the matching findings of an open page; a closed one is updated when it is opened.
  function refresh(page) {
    nameComponents(page);
    if (page.isShownBy === want) return;
    page.isShownBy = want;
    for (const finding of findingsOf(page))
      finding.element.classList.toggle("is-hidden", want.isOfFindings && !fits(page, finding));
  }

  // Whether a page is shown; adds its findings to `sums`.
  function isMatch(page, sums) {
    if (want.status && want.status !== page.status && !(want.status === "doubt" && page.isDoubtful)) return false;
    if (want.group && page.group !== want.group) return false;
    const found = findingsOf(page).filter((finding) => fits(page, finding)
      && (finding.impact !== "review" || want.words.length || want.rule));
    // A page without a matching finding is shown if its name matches, unless the query is for certain findings.
    const isNamed = !want.rule && !want.component && !want.mark && want.words.every((word) => headOf(page).includes(word));
    if (!found.length && !(isNamed && (want.impacts.size === impacts.length || page.status === "problem"))) return false;
    for (const finding of found) {
      if (finding.of) sums.components.add(finding.of);
      else sums.findings += 1;
    }
    return true;
  }

  function apply() {
    want = wanted();
    applyToComponents();
    const isAll = !want.isOfFindings && !want.status && !want.group;
    const sums = isAll
      ? { components: new Set(components), findings: document.querySelectorAll("article.finding:not(.open)").length }
      : { components: new Set(), findings: 0 };
    let shown = 0;
    for (const page of all) {
      const isShown = isAll || isMatch(page, sums);
      page.element.classList.toggle("is-hidden", !isShown);
      shown += isShown;
      if (isShown && page.element.open) refresh(page);
    }
    for (const one of groups) one.classList.toggle("is-hidden", !one.querySelector("details.page:not(.is-hidden)"));
    const has = components.length ? [plural(sums.components.size, "component barrier")] : [];
    if (sums.findings || !components.length) has.push(plural(sums.findings, "finding"));
    byId("shown").textContent = [`${plural(shown, "page")} of ${all.length.toLocaleString("en")}`, ...has].join(", ");
    byId("none").hidden = shown > 0;
  }

  function reset() {
    search.value = "";
    status.value = "";
    if (marks) marks.value = "";
    if (group) group.value = "";
    impacts.forEach((box) => { box.checked = true; });
    apply();
    search.focus();
  }

  function openAll() {
    const isOpen = byId("expand").textContent === "Open all";
    all.forEach((page) => { page.element.open = isOpen; });
    byId("expand").textContent = isOpen ? "Close all" : "Open all";
  }

  // Clicking a rule in the table shows only its findings, on opened pages.
  function showRule(event) {
    reset();
    search.value = `rule:${event.currentTarget.dataset.rule}`;
    apply();
    for (const page of all) {
      page.element.open = !page.element.classList.contains("is-hidden");
      if (page.element.open) refresh(page);
    }
  }

  // Clicking a component shows only its pages.
  function showPages(event) {
    reset();
    search.value = `component:${event.currentTarget.dataset.component}`;
    apply();
    byId("pages").focus();
  }

  function openTarget() {
    const target = /^#(?:page|component)-/.test(location.hash) && byId(location.hash.slice(1));
    if (!target) return;
    target.classList.remove("is-hidden");
    target.closest(".group")?.classList.remove("is-hidden");
    target.open = true;
    target.querySelector("summary").focus();
  }

  function shortenRules() {
    const rows = [...document.querySelectorAll("#rules tbody tr")].slice(Number(byId("rules")?.dataset.first));
    const more = byId("more-rules");
    if (rows.length < 3) return;
    rows.forEach((row) => { row.classList.add("later"); });
    more.hidden = false;
    more.addEventListener("click", () => {
      rows.forEach((row) => { row.classList.remove("later"); });
      more.hidden = true;
      rows[0].querySelector("a").focus();
    });
  }

  let timer = 0;
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(apply, 120); });
  [status, marks, group, ...impacts].forEach((field) => field?.addEventListener("change", apply));
  byId("reset").addEventListener("click", reset);
  byId("expand").addEventListener("click", openAll);
  byId("filter").addEventListener("submit", (event) => event.preventDefault());
  document.querySelectorAll("a[data-rule]").forEach((link) => link.addEventListener("click", showRule));
  document.querySelectorAll("button.only").forEach((button) => {
    button.hidden = all.length < 2;
    button.addEventListener("click", showPages);
  });
  byId("pages").addEventListener("toggle", ({ target }) => {
    if (target.open && pageOf.has(target)) refresh(pageOf.get(target));
  }, true);
  let closed = [];
  addEventListener("beforeprint", () => {
    all.forEach(refresh);
    closed = [...document.querySelectorAll(".pages details:not([open]), .components details:not([open])")];
    closed.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => { closed.forEach((details) => { details.open = false; }); });
  addEventListener("hashchange", openTarget);
  byId("filter").hidden = all.length < 2 && !document.querySelector("article.finding, .briefs");
  byId("expand").hidden = all.length < 2;
  shortenRules();
  openTarget();
  apply();
})();
