"use strict";

// Search and filters of the report. Without it everything is still there and opens: <details> needs no script.
(() => {
  const byId = (id) => document.getElementById(id);
  const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
  const search = byId("search");
  const status = byId("status");
  const marks = byId("marks");
  const impacts = [...document.querySelectorAll('input[name="impact"]')];
  const all = [...document.querySelectorAll("details.page")].map((element) => ({
    element,
    status: element.dataset.status,
    isDoubtful: "doubt" in element.dataset,
    head: `${element.querySelector("summary").textContent} ${element.querySelector(".address").textContent}`.toLowerCase(),
    findings: [...element.querySelectorAll("article.finding")].map((finding) => ({
      element: finding,
      impact: finding.dataset.impact,
      rule: finding.dataset.rule.toLowerCase(),
      marks: finding.dataset.marks.split(" "),
      text: finding.textContent.toLowerCase(),
    })),
  }));

  // What is asked for: words that must all be there, and at most one "rule:image-alt", which is exact.
  function wanted() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return {
      words: words.filter((word) => !word.startsWith("rule:")),
      rule: words.find((word) => word.startsWith("rule:"))?.slice(5) ?? "",
      impacts: new Set(impacts.filter((box) => box.checked).map((box) => box.value)),
      mark: marks?.value ?? "",
      status: status.value,
    };
  }

  function fits(page, finding, want) {
    if (want.rule && finding.rule !== want.rule) return false;
    if (want.mark && !finding.marks.includes(want.mark)) return false;
    if (finding.impact !== "review" && !want.impacts.has(finding.impact)) return false;
    return want.words.every((word) => page.head.includes(word) || finding.text.includes(word));
  }

  function apply() {
    const want = wanted();
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
      const isNamed = !want.rule && !want.mark && want.words.every((word) => page.head.includes(word));
      const isMatch = found > 0 || (isNamed && (!isNarrowed || page.status === "problem"));
      const hasStatus = !want.status || want.status === page.status || (want.status === "doubt" && page.isDoubtful);
      const isShown = isMatch && hasStatus;
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

  function openTarget() {
    const target = location.hash.startsWith("#page-") && byId(location.hash.slice(1));
    if (target) target.open = true;
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
  [status, marks, ...impacts].forEach((field) => field?.addEventListener("change", apply));
  byId("reset").addEventListener("click", reset);
  byId("expand").addEventListener("click", openAll);
  byId("filter").addEventListener("submit", (event) => event.preventDefault());
  document.querySelectorAll("a[data-rule]").forEach((link) => link.addEventListener("click", showRule));
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll(".pages details:not([open])")];
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
