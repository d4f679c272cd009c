// Draws the airports of an import as dots, as they come: asked for after each live update, each of them once.
(() => {
  "use strict";

  const canvas = document.querySelector("[data-dots]");
  if (!canvas) return;
  const context = canvas.getContext("2d");
  const dots = [];
  let last = 0;
  let asking = false;
  canvas.hidden = false;

  const colour = (name) => getComputedStyle(canvas).getPropertyValue(name);

  function draw(from) {
    const { width, height } = canvas;
    const size = Math.max(1, width / 700);
    context.fillStyle = colour("--demo-active");
    for (const [lon, lat] of dots.slice(from)) {
      context.fillRect(((lon + 180) / 360) * width - size / 2, ((90 - lat) / 180) * height - size / 2, size, size);
    }
  }

  function redraw() {
    const { width, height } = canvas;
    context.clearRect(0, 0, width, height);
    context.strokeStyle = colour("--demo-line");
    context.lineWidth = 1;
    context.beginPath();
    for (let lon = 30; lon < 360; lon += 30) {
      context.moveTo((lon / 360) * width, 0);
      context.lineTo((lon / 360) * width, height);
    }
    for (let lat = 30; lat < 180; lat += 30) {
      context.moveTo(0, (lat / 180) * height);
      context.lineTo(width, (lat / 180) * height);
    }
    context.stroke();
    draw(0);
  }

  async function ask() {
    if (asking) return;
    asking = true;
    try {
      for (let more = true; more;) {
        const response = await fetch(`${canvas.dataset.dots}?after=${last}`);
        if (!response.ok) break;
        const found = await response.json();
        dots.push(...found.points);
        draw(dots.length - found.points.length);
        canvas.dataset.drawn = dots.length;
        ({ last, more } = found);
      }
    } catch { /* The next update asks again. */ }
    asking = false;
  }

  document.addEventListener("live", ask);
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  redraw();
  ask();
})();
