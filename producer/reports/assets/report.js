"use strict";

// Search and filters of the report. Without it everything is still there and opens: <details> needs no script.
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
    text: element.textContent.toLowerCase(),
  }));
  // A page names its components by number, as links: with a script by their names, which would be most of a large file.
  document.querySelectorAll(".briefs").forEach((list) => {
    list.classList.add("named");
    for (const line of list.children) {
      const link = line.querySelector("a");
      const of = components[link.hash.slice(11) - 1];
      link.textContent = of.name;
      line.className = of.impact;
    }
  });
  const all = [...document.querySelectorAll("details.page")].map((element) => ({
    element,
    status: element.dataset.status,
    group: element.dataset.group ?? "",
    isDoubtful: "doubt" in element.dataset,
    head: `${element.querySelector("summary").textContent} ${element.querySelector(".address").textContent}`.toLowerCase(),
    findings: [...element.querySelectorAll("article.finding, .briefs > li")].map((finding) => {
      const of = finding.matches("li") ? components[finding.querySelector("a").hash.slice(11) - 1] : undefined;
      return {
        element: finding,
        component: of?.component ?? "",
        impact: of?.impact ?? finding.dataset.impact,
        rule: of?.rule ?? finding.dataset.rule.toLowerCase(),
        marks: (finding.dataset.marks ?? "").split(" "),
        text: of?.text ?? finding.textContent.toLowerCase(),
      };
    }),
  }));

  // What is asked for: words that must all be there, and at most one "rule:image-alt" or "component:3", which are exact.
  function wanted() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return {
      words: words.filter((word) => !/^(?:rule|component):/.test(word)),
      component: words.find((word) => word.startsWith("component:"))?.slice(10) ?? "",
      rule: words.find((word) => word.startsWith("rule:"))?.slice(5) ?? "",
      impacts: new Set(impacts.filter((box) => box.checked).map((box) => box.value)),
      mark: marks?.value ?? "",
      group: group?.value ?? "",
      status: status.value,
    };
  }

  function fits(page, finding, want) {
    if (want.rule && finding.rule !== want.rule) return false;
    if (want.component && finding.component !== want.component) return false;
    if (want.mark && !finding.marks.includes(want.mark)) return false;
    if (finding.impact !== "review" && !want.impacts.has(finding.impact)) return false;
    return want.words.every((word) => page.head.includes(word) || finding.text.includes(word));
  }

  function applyToComponents(want) {
    let shown = 0;
    for (const one of components) {
      const isShown = fits({ head: "" }, one, want) && (!want.group || one.groups.includes(want.group));
      one.element.classList.toggle("is-hidden", !isShown);
      shown += isShown;
    }
    if (components.length)
      byId("components-shown").textContent = `${plural(shown, "component barrier")} of ${components.length.toLocaleString("en")}`;
  }

  function apply() {
    const want = wanted();
    applyToComponents(want);
    const isNarrowed = want.impacts.size < impacts.length;
    let pages = 0;
    let findings = 0;
    for (const page of all) {
      let found = 0;
      for (const finding of page.findings) {
        const isFound = fits(page, finding, want);
        finding.element.classList.toggle("is-hidden", !isFound);
        if (isFound && (finding.impact !== "review" || want.words.length || want.rule)) found += 1;
      }
      // A page without a finding that fits is shown for its name, unless certain findings are asked for.
      const isNamed = !want.rule && !want.component && !want.mark && want.words.every((word) => page.head.includes(word));
      const isMatch = found > 0 || (isNamed && (!isNarrowed || page.status === "problem"));
      const hasStatus = !want.status || want.status === page.status || (want.status === "doubt" && page.isDoubtful);
      const isShown = isMatch && hasStatus && (!want.group || page.group === want.group);
      page.element.classList.toggle("is-hidden", !isShown);
      if (isShown) {
        pages += 1;
        findings += found;
      }
    }
    byId("shown").textContent = `${plural(pages, "page")} of ${all.length.toLocaleString("en")}, ${plural(findings, "finding")}`;
    byId("none").hidden = pages > 0;
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

  // A rule of the table: its findings alone, on open pages.
  function showRule(event) {
    reset();
    search.value = `rule:${event.currentTarget.dataset.rule}`;
    apply();
    for (const page of all) page.element.open = !page.element.classList.contains("is-hidden");
  }

  // A component: its pages alone.
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
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll(".pages details:not([open]), .components details:not([open])")];
    closed.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => { closed.forEach((details) => { details.open = false; }); });
  addEventListener("hashchange", openTarget);
  byId("filter").hidden = all.length < 2 && !all.some((page) => page.findings.length);
  byId("expand").hidden = all.length < 2;
  shortenRules();
  openTarget();
  apply();
})();
