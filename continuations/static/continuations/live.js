// Keeps a page of continuations up to date, and copies values. All it shows comes from the page.
(() => {
  "use strict";

  const SHORTEST = 2000;
  const LONGEST = 10000;
  const STORED = "continuations-live";

  const region = document.querySelector("[data-continuations-live]");
  const list = document.querySelector("[data-continuations-live-list]");
  const button = document.querySelector("[data-continuations-switch]");
  const announcement = document.querySelector("[data-continuations-announcement]");
  const waiting = document.querySelector("[data-continuations-waiting]");
  const unanswered = document.querySelector("[data-continuations-unanswered]");
  const gone = document.querySelector("[data-continuations-gone]");
  const signedOut = document.querySelector("[data-continuations-signed-out]");

  const remembered = {
    get: () => { try { return localStorage.getItem(STORED); } catch { return null; } },
    set: (value) => { try { localStorage.setItem(STORED, value); } catch { /* Not allowed: not remembered. */ } },
  };

  // What somebody does there, so that it must stay as it is.
  const inUse = (element) => {
    const selection = document.getSelection();
    const selecting = selection && !selection.isCollapsed && element.contains(selection.anchorNode);
    const typed = [...element.querySelectorAll("input, textarea")].some((each) => each.value !== each.defaultValue);
    return selecting || typed || element.contains(document.activeElement) || element.querySelector("details[open]");
  };

  // Distances from now, in the language of the page. The server's clock counts.
  let ahead = 0;
  const distances = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { style: "short" });
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

  function tick() {
    for (const time of document.querySelectorAll("time[data-continuations-when]")) {
      const seconds = Math.round((Date.parse(time.dateTime) - Date.now()) / 1000 + ahead);
      const [unit, size] = units.find(([, each]) => Math.abs(seconds) >= each) || units[3];
      const text = distances.format(Math.trunc(seconds / size), unit);
      if (time.textContent !== text && !inUse(time)) time.textContent = text;
    }
  }

  // One continuation: its part of the page is replaced.
  const page = region && {
    etag: region.dataset.continuationsEtag,
    url: () => region.dataset.continuationsLive,
    facts: () => region.firstElementChild.dataset,
    ended: () => "continuationsEnded" in page.facts(),
    busy: () => inUse(region),
    async show(response) {
      const html = await response.text();
      if (page.busy()) return false;
      const before = page.facts().continuationsState;
      const boxes = () => [...region.querySelectorAll("[role=region]")];
      const scrolled = boxes().map((box) => box.scrollLeft);
      region.innerHTML = html;
      boxes().forEach((box, index) => { box.scrollLeft = scrolled[index] ?? 0; });
      offerCopies(region);
      heed();
      if (page.facts().continuationsState !== before) announcement.textContent = page.facts().continuationsState;
      return true;
    },
  };

  // A list: the cells of what has not ended are replaced, one by one.
  const rows = list && {
    etag: "",
    followed: () => [...document.querySelectorAll("[data-continuations-active]")].slice(0, 100),
    url: () => `${list.dataset.continuationsLiveList}?ids=${rows.followed().map((each) => each.dataset.continuationsRow)}`,
    ended: () => rows.followed().length === 0,
    busy: () => false,
    async show(response) {
      const found = (await response.json()).rows;
      for (const mark of rows.followed()) {
        const row = found[mark.dataset.continuationsRow];
        if (!row) continue;
        for (const cell of mark.closest("tr").querySelectorAll("[data-continuations-cell]")) {
          const html = row.cells[cell.dataset.continuationsCell];
          if (html !== undefined && !inUse(cell)) cell.innerHTML = html;
        }
        if (row.ended) delete mark.dataset.continuationsActive;
      }
      return true;
    },
  };

  const source = page || rows;
  let on = remembered.get() !== "off";
  let delay = SHORTEST;
  let timer;

  function heed() {
    if (page) ahead = Date.now() / 1000 - Number(page.facts().continuationsNow);
  }

  function schedule() {
    clearTimeout(timer);
    if (on && !document.hidden && !source.ended()) timer = setTimeout(update, delay);
  }

  function stop(why) {
    why.hidden = false;
    unanswered.hidden = true;
    on = false;
    button.setAttribute("aria-pressed", "false");
  }

  async function update() {
    const busy = source.busy();
    waiting.hidden = !busy;
    if (busy) return schedule();
    try {
      const headers = source.etag ? { "If-None-Match": source.etag } : {};
      const response = await fetch(source.url(), { headers, redirect: "manual", cache: "no-store" });
      if (response.type === "opaqueredirect" || response.status === 403) return stop(signedOut);
      if (response.status === 404) return stop(gone);
      unanswered.hidden = response.ok || response.status === 304;
      if (response.ok) {
        const tag = response.headers.get("ETag");
        if (await source.show(response)) source.etag = tag;
        delay = SHORTEST;
      } else {
        delay = Math.min(delay * 1.5, LONGEST);
      }
    } catch {
      unanswered.hidden = false;
      delay = LONGEST;
    }
    schedule();
  }

  // Copying

  function offerCopies(element) {
    for (const each of element.querySelectorAll("[data-continuations-copy]")) each.hidden = false;
  }

  async function copy(trigger) {
    const text = document.getElementById(trigger.dataset.continuationsCopy).textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Over plain http there is no clipboard to write to, but a selection can be copied.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      trigger.focus();
    }
    announcement.textContent = trigger.dataset.continuationsCopied;
  }

  document.addEventListener("click", (event) => {
    const trigger = event.target.closest("[data-continuations-copy]");
    if (trigger) copy(trigger);
  });
  if (!source || !button) return;
  offerCopies(document);
  heed();
  button.hidden = false;
  button.setAttribute("aria-pressed", String(on));
  button.addEventListener("click", () => {
    on = !on;
    delay = SHORTEST;
    remembered.set(on ? "on" : "off");
    button.setAttribute("aria-pressed", String(on));
    schedule();
  });
  document.addEventListener("visibilitychange", schedule);
  setInterval(() => { if (on && !document.hidden) tick(); }, 1000);
  schedule();
})();
