// Keeps the parts of a page marked data-live up to date. All it shows comes from the page.
//
// After each change a "live" event bubbles from the part. Forms marked data-live-post are sent without leaving the page.
(() => {
  "use strict";

  const AT_ONCE = 200;
  const SHORTEST = 1000;
  const LONGEST = 10000;
  const STORED = "demo-live";

  const button = document.querySelector("[data-live-switch]");
  const announcement = document.querySelector("[data-live-announcement]");
  const waiting = document.querySelector("[data-live-waiting]");
  const found = [...document.querySelectorAll("[data-live]")];
  if (!found.length || !button || !announcement || !waiting) return;

  const stored = () => { try { return localStorage.getItem(STORED); } catch { return null; } };
  let on = stored() !== "off";

  class Region {
    constructor(element) {
      this.element = element;
      this.etag = element.dataset.liveEtag;
      this.keepsFocus = "liveKeepsFocus" in element.dataset;
      this.delay = SHORTEST;
      this.waits = false;
    }

    get shown() { return this.element.firstElementChild.dataset; }
    get ended() { return "liveEnd" in this.shown; }

    // What somebody does there, so that it must stay as it is.
    get inUse() {
      const selection = document.getSelection();
      const selecting = selection && !selection.isCollapsed && this.element.contains(selection.anchorNode);
      const fields = [...this.element.querySelectorAll("input:not([type=hidden]), textarea")];
      const typed = fields.some((each) => each.value !== each.defaultValue);
      return selecting || typed || (!this.keepsFocus && this.element.contains(document.activeElement));
    }

    show(html) {
      const before = this.shown.liveState;
      const boxes = () => [...this.element.querySelectorAll("[role=region]")];
      const scrolled = boxes().map((box) => box.scrollLeft);
      const focused = this.element.contains(document.activeElement) ? document.activeElement.id : "";
      this.element.innerHTML = html;
      boxes().forEach((box, index) => { box.scrollLeft = scrolled[index] ?? 0; });
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
      if (this.shown.liveState !== before) announcement.textContent = this.shown.liveState;
      this.element.dispatchEvent(new CustomEvent("live", { bubbles: true }));
      // Where one part moves, the others may soon.
      for (const each of regions) if (each.delay > SHORTEST) each.hurry(SHORTEST);
    }

    async update() {
      this.waits = this.inUse;
      waiting.hidden = !regions.some((each) => each.waits);
      if (this.waits) return this.schedule();
      try {
        const headers = { "If-None-Match": this.etag };
        const response = await fetch(this.element.dataset.live, { headers, redirect: "error", cache: "no-store" });
        if (response.ok) {
          const html = await response.text();
          if (this.inUse) return this.schedule();
          this.etag = response.headers.get("ETag");
          this.show(html);
          this.delay = SHORTEST;
        } else {
          this.delay = Math.min(this.delay * 1.5, LONGEST);
        }
      } catch {
        this.delay = LONGEST;
      }
      this.schedule();
    }

    schedule() {
      clearTimeout(this.timer);
      if (on && !document.hidden && !this.ended) this.timer = setTimeout(() => this.update(), this.delay);
    }

    hurry(delay) {
      this.delay = delay;
      this.schedule();
      this.delay = SHORTEST;
    }
  }

  const regions = found.map((element) => new Region(element));

  async function post(form) {
    try {
      const headers = { "X-Requested-With": "live" };
      const response = await fetch(form.action, { method: "POST", body: new FormData(form), headers });
      if (!response.ok) throw new Error(response.statusText);
      announcement.textContent = (await response.json()).said;
    } catch {
      // As without scripts: the answer, or the error, is a page.
      return form.submit();
    }
    for (const region of regions) region.hurry(AT_ONCE);
  }

  document.addEventListener("submit", (event) => {
    if (!on || !("livePost" in event.target.dataset)) return;
    event.preventDefault();
    post(event.target);
  });

  button.hidden = false;
  button.setAttribute("aria-pressed", String(on));
  button.addEventListener("click", () => {
    on = !on;
    try { localStorage.setItem(STORED, on ? "on" : "off"); } catch { /* Not allowed: not remembered. */ }
    button.setAttribute("aria-pressed", String(on));
    for (const region of regions) region.hurry(SHORTEST);
  });
  document.addEventListener("visibilitychange", () => { for (const region of regions) region.schedule(); });
  for (const region of regions) region.schedule();
})();
