// Light, dark, or as the system has it; remembered under the name that Django's admin uses, so that both agree.
(() => {
  "use strict";

  const THEMES = ["auto", "light", "dark"];
  const STORED = "theme";
  const stored = () => { try { return localStorage.getItem(STORED); } catch { return null; } };
  let theme = THEMES.includes(stored()) ? stored() : "auto";

  const show = () => { document.documentElement.dataset.theme = theme; };
  // Before the first paint: this file is loaded in the head.
  show();

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("[data-theme-switch]");
    if (!button) return;
    const label = () => { button.textContent = button.dataset[theme]; };
    label();
    button.hidden = false;
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      try { localStorage.setItem(STORED, theme); } catch { /* Not allowed: not remembered. */ }
      show();
      label();
    });
  });
})();
