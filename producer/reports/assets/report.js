"use strict";

// Search and filter of the report. Without it everything is still there and opens: <details> needs no script.
(() => {
  const byId = (id) => document.getElementById(id);
  const search = byId("search");
  const status = byId("status");
  const impacts = [...document.querySelectorAll('input[name="impact"]')];
  const pages = [...document.querySelectorAll("details.page")].map((element) => ({
    element,
    status: element.dataset.status,
    head: `${element.querySelector("summary").textContent} ${element.querySelector(".address").textContent}`.toLowerCase(),
    findings: [...element.querySelectorAll("article.finding")].map((finding) => ({
      element: finding,
      impact: finding.dataset.impact,
      text: finding.textContent.toLowerCase(),
    })),
  }));

  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set(impacts.filter((box) => box.checked).map((box) => box.value));
    const isNarrowed = wanted.size < impacts.length;
    let shownPages = 0;
    let shownFindings = 0;
    for (const page of pages) {
      let found = 0;
      for (const finding of page.findings) {
        const text = `${page.head} ${finding.text}`;
        const isReview = finding.impact === "review";
        const fits = (isReview || wanted.has(finding.impact)) && words.every((word) => text.includes(word));
        finding.element.classList.toggle("is-hidden", !fits);
        if (fits && !isReview) found += 1;
      }
      const headFits = words.every((word) => page.head.includes(word));
      const isMatch = found > 0 || (headFits && (!isNarrowed || page.status === "problem"));
      const isShown = isMatch && (!status.value || status.value === page.status);
      page.element.classList.toggle("is-hidden", !isShown);
      if (isShown) {
        shownPages += 1;
        shownFindings += found;
      }
    }
    const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
    byId("shown").textContent = `${plural(shownPages, "page")} of ${pages.length.toLocaleString("en")}, ${plural(shownFindings, "finding")}`;
    byId("none").hidden = shownPages > 0;
  }

  function reset() {
    search.value = "";
    status.value = "";
    impacts.forEach((box) => { box.checked = true; });
    apply();
    search.focus();
  }

  function openAll(isOpen) {
    pages.forEach((page) => { page.element.open = isOpen; });
    byId("expand").setAttribute("aria-pressed", String(isOpen));
    byId("expand").textContent = isOpen ? "Close all" : "Open all";
  }

  let timer = 0;
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(apply, 120); });
  status.addEventListener("change", apply);
  impacts.forEach((box) => box.addEventListener("change", apply));
  byId("reset").addEventListener("click", reset);
  byId("expand").addEventListener("click", () => openAll(byId("expand").getAttribute("aria-pressed") === "false"));
  byId("filter").addEventListener("submit", (event) => event.preventDefault());
  let wereOpen = [];
  addEventListener("beforeprint", () => {
    wereOpen = pages.filter((page) => page.element.open);
    pages.forEach((page) => { page.element.open = true; });
  });
  addEventListener("afterprint", () => {
    pages.forEach((page) => { page.element.open = wereOpen.includes(page); });
  });
  byId("filter").hidden = false;
  apply();
})();
