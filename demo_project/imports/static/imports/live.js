// Keeps the part of a page marked data-live up to date. All it shows comes from the page.
(() => {
  "use strict";

  const SHORTEST = 1000;
  const LONGEST = 10000;
  const STORED = "demo-live";

  const region = document.querySelector("[data-live]");
  const button = document.querySelector("[data-live-switch]");
  const announcement = document.querySelector("[data-live-announcement]");
  if (!region || !button || !announcement) return;

  let on = localStorage.getItem(STORED) !== "off";
  let etag = region.dataset.liveEtag;
  let delay = SHORTEST;
  let timer;

  const shown = () => region.firstElementChild.dataset;
  const ended = () => "liveEnd" in shown();
  const boxes = () => [...region.querySelectorAll("[role=region]")];
  const inUse = () => {
    const selection = document.getSelection();
    const selecting = selection && !selection.isCollapsed && region.contains(selection.anchorNode);
    return selecting || region.contains(document.activeElement);
  };

  function show(html) {
    const before = shown().liveState;
    const scrolled = boxes().map((box) => box.scrollLeft);
    region.innerHTML = html;
    boxes().forEach((box, index) => (box.scrollLeft = scrolled[index] ?? 0));
    if (shown().liveState !== before) announcement.textContent = shown().liveState;
  }

  async function update() {
    if (inUse()) return schedule();
    try {
      const response = await fetch(region.dataset.live, { headers: { "If-None-Match": etag } });
      if (response.ok) {
        const html = await response.text();
        if (inUse()) return schedule();
        etag = response.headers.get("ETag");
        show(html);
        delay = SHORTEST;
      } else {
        delay = Math.min(delay * 1.5, LONGEST);
      }
    } catch {
      delay = LONGEST;
    }
    schedule();
  }

  function schedule() {
    clearTimeout(timer);
    if (on && !document.hidden && !ended()) timer = setTimeout(update, delay);
  }

  button.hidden = false;
  button.setAttribute("aria-pressed", on);
  button.addEventListener("click", () => {
    on = !on;
    delay = SHORTEST;
    localStorage.setItem(STORED, on ? "on" : "off");
    button.setAttribute("aria-pressed", on);
    schedule();
  });
  document.addEventListener("visibilitychange", schedule);
  schedule();
})();
