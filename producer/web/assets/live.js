// Keeps a page up to date: a batch by server-sent events, an answer by polling. Without it, a reload shows the same.
"use strict";
(() => {
  const byId = (name) => document.getElementById(name);
  const box = byId("live");
  const wait = byId("wait");

  const parsed = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html; // from this server's templates, which escape; the policy runs no script in it
    return template.content;
  };

  const addRows = (html) => {
    const list = byId("rows");
    const fresh = [...parsed(html).querySelectorAll("li")];
    for (const row of fresh.reverse()) {
      byId(row.id)?.remove();
      row.classList.add("is-new");
      list.prepend(row);
    }
    if (fresh.length) byId("no-rows")?.remove();
    while (list.children.length > Number(list.dataset.most)) list.lastElementChild.remove();
  };

  const follow = () => {
    let spoken = 0;
    const source = new EventSource(`${box.dataset.events}?since=${encodeURIComponent(box.dataset.since)}`);
    const down = byId("down");
    const say = (text) => { down.textContent = text; down.hidden = !text; };
    source.addEventListener("update", (event) => {
      const parts = JSON.parse(event.data);
      say("");
      byId("progress").replaceChildren(parsed(parts.progress));
      addRows(parts.rows);
      document.documentElement.dataset.live = event.lastEventId;
      box.dataset.since = event.lastEventId || box.dataset.since;
      const now = Date.now();
      if (parts.ended || now - spoken > 15000) { // screen readers announce it now and then, not at every page
        spoken = now;
        byId("said").textContent = byId("progress").querySelector(".how-far").textContent;
      }
      if (parts.ended) {
        source.close();
        byId("cancel")?.remove();
      }
    });
    source.addEventListener("down", (event) => say(JSON.parse(event.data).why));
    source.addEventListener("error", () => {
      say("The connection was lost: updates resume when it is back.");
      if (source.readyState === EventSource.CLOSED) setTimeout(follow, 5000); // the browser gives up at a 503
    });
  };

  const ask = async () => {
    try {
      const answer = await fetch(wait.dataset.again, { headers: { Accept: "application/json" } });
      const found = await answer.json();
      if (answer.status !== 503 && (found.answer || found.error || found.batch)) return location.reload();
      if (found.step && byId("step").textContent !== found.step) byId("step").textContent = found.step;
    } catch { /* asked again */ }
    setTimeout(ask, 1000);
  };

  if (box?.dataset.events) follow();
  if (wait) setTimeout(ask, 500);
})();
