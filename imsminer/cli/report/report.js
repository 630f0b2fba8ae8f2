"use strict";

// Tables: a click on a heading sorts, the field above searches.
for (const box of document.querySelectorAll(".table")) {
  const body = box.querySelector("tbody");
  const heads = [...box.querySelectorAll("th")];
  const key = (row, column) => {
    const cell = row.cells[column];
    const value = cell.dataset.value;
    return value === undefined ? cell.textContent.toLowerCase() : Number(value);
  };
  const empty = (value) => Number.isNaN(value) || value === "–" || value === "";
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [key(row, column), row]);
      rows.sort(([a], [b]) => {
        if (empty(a) || empty(b)) return empty(a) - empty(b);
        const order = a < b ? -1 : a > b ? 1 : 0;
        return down ? -order : order;
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
  box.querySelector("input").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const row of body.rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  });
}

// Spectra: drawn by the extremes of each column of the canvas, so that none is lost.
function floats(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

function firstAtLeast(values, wanted) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1; else high = middle;
  }
  return low;
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(k * step);
  return [found, Math.max(0, -Math.floor(Math.log10(step) + 1e-9))];
}

function drawSpectrum(figure) {
  const canvas = figure.querySelector("canvas");
  const tip = figure.querySelector("output");
  const data = JSON.parse(figure.querySelector("script").textContent);
  const mz = floats(data.mz), intensity = floats(data.intensity);
  const names = data.peaks.columns, peaks = data.peaks.data;
  const atMz = names.indexOf("mz"), atHeight = names.indexOf("height");
  const full = mz.length ? [mz[0], mz[mz.length - 1]] : [0, 1];
  if (!(full[1] > full[0])) full[1] = full[0] + 1;
  let view = [...full];
  const edge = { left: 70, right: 12, top: 14, bottom: 40 };

  function frame() {
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = canvas.getBoundingClientRect();
    canvas.width = Math.max(1, width * ratio);
    canvas.height = Math.max(1, height * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    return { context, width: width - edge.left - edge.right,
             height: height - edge.top - edge.bottom };
  }

  const column = (value, width) =>
    edge.left + ((value - view[0]) / (view[1] - view[0])) * width;

  function draw() {
    const { context: c, width, height } = frame();
    const first = Math.max(0, firstAtLeast(mz, view[0]) - 1);
    const stop = Math.min(mz.length, firstAtLeast(mz, view[1]) + 1);
    let top = 0, bottom = 0;
    for (let i = first; i < stop; i++) {
      if (mz[i] < view[0] || mz[i] > view[1]) continue;
      if (intensity[i] > top) top = intensity[i];
      if (intensity[i] < bottom) bottom = intensity[i];
    }
    if (!(top > bottom)) top = bottom + 1;
    top += 0.08 * (top - bottom);
    const level = (value) => edge.top + height * (1 - (value - bottom) / (top - bottom));
    c.font = "12px system-ui, sans-serif";
    c.strokeStyle = "#e4e7ec";
    c.fillStyle = "#5b6472";
    c.lineWidth = 1;
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (const value of ticks(bottom, top, 5)[0]) {
      const y = Math.round(level(value)) + 0.5;
      c.beginPath(); c.moveTo(edge.left, y); c.lineTo(edge.left + width, y); c.stroke();
      c.fillText(compact.format(Number(value.toPrecision(6))), edge.left - 6, y);
    }
    c.textAlign = "center";
    c.textBaseline = "top";
    const [places, digits] = ticks(view[0], view[1], Math.max(2, width / 110));
    for (const value of places) {
      const x = Math.round(column(value, width)) + 0.5;
      c.beginPath(); c.moveTo(x, edge.top + height); c.lineTo(x, edge.top + height + 4);
      c.stroke();
      c.fillText(value.toFixed(digits), x, edge.top + height + 7);
    }
    c.fillText("m/z", edge.left + width / 2, edge.top + height + 24);
    c.save();
    c.translate(12, edge.top + height / 2);
    c.rotate(-Math.PI / 2);
    c.fillText("intensity", 0, -6);
    c.restore();

    c.save();
    c.beginPath(); c.rect(edge.left, 0, width, edge.top + height + 1); c.clip();
    c.strokeStyle = "#1d2129";
    c.beginPath();
    let at = -1, low = 0, high = 0, last = 0;
    const flush = () => { c.lineTo(at, level(low)); c.lineTo(at, level(high)); c.lineTo(at, level(last)); };
    for (let i = first; i < stop; i++) {
      const x = Math.round(column(mz[i], width) * 2) / 2;
      const value = intensity[i];
      if (x !== at) {
        if (at >= 0) flush();
        c.lineTo(x, level(value));
        at = x; low = high = value;
      }
      if (value < low) low = value;
      if (value > high) high = value;
      last = value;
    }
    if (at >= 0) flush();
    c.stroke();
    c.fillStyle = "#0072b2";
    const seen = peaks.filter((p) => p[atMz] >= view[0] && p[atMz] <= view[1]);
    for (const peak of seen) {
      const x = column(peak[atMz], width), y = level(peak[atHeight]) - 3;
      c.beginPath(); c.moveTo(x, y); c.lineTo(x - 3.5, y - 6); c.lineTo(x + 3.5, y - 6);
      c.fill();
    }
    // The highest peaks get their m/z, where there is room.
    c.textBaseline = "bottom";
    c.fillStyle = "#1d2129";
    c.strokeStyle = "#fff";
    c.lineWidth = 3;
    const taken = [];
    for (const peak of [...seen].sort((a, b) => b[atHeight] - a[atHeight]).slice(0, 40)) {
      const text = peak[atMz].toFixed(4), half = c.measureText(text).width / 2 + 3;
      const x = Math.min(Math.max(column(peak[atMz], width), edge.left + half), edge.left + width - half);
      const y = Math.max(level(peak[atHeight]) - 10, 12);
      const box = [x - half, y - 13, x + half, y];
      if (taken.some((b) => b[0] < box[2] && box[0] < b[2] && b[1] < box[3] && box[1] < b[3])) continue;
      taken.push(box);
      c.strokeText(text, x, y);
      c.fillText(text, x, y);
      if (taken.length >= 12) break;
    }
    c.restore();
  }

  function show(low, high) {
    const range = Math.min(Math.max(high - low, 1e-3), full[1] - full[0]);
    low = Math.min(Math.max(low, full[0]), full[1] - range);
    view = [low, low + range];
    canvas.dataset.view = view.join(" ");
    tip.style.display = "none";
    requestAnimationFrame(draw);
  }

  const zoom = (factor, centre = (view[0] + view[1]) / 2) =>
    show(centre - (centre - view[0]) * factor, centre + (view[1] - centre) * factor);
  const mzAt = (event) => {
    const box = canvas.getBoundingClientRect();
    const part = (event.clientX - box.left - edge.left) / (box.width - edge.left - edge.right);
    return view[0] + part * (view[1] - view[0]);
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY < 0 ? 0.8 : 1.25, mzAt(event));
  }, { passive: false });
  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    held = mzAt(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", () => { held = null; });
  canvas.addEventListener("pointermove", (event) => {
    if (held !== null) {
      const moved = held - mzAt(event);
      show(view[0] + moved, view[1] + moved);
      return;
    }
    const here = mzAt(event), box = canvas.getBoundingClientRect();
    const reach = 8 * (view[1] - view[0]) / (box.width - edge.left - edge.right);
    const near = peaks.filter((p) => Math.abs(p[atMz] - here) <= reach)
      .sort((a, b) => Math.abs(a[atMz] - here) - Math.abs(b[atMz] - here))[0];
    tip.style.display = near ? "block" : "none";
    if (!near) return;
    tip.textContent = names.map((name, k) => {
      const value = near[k];
      return `${name}  ${typeof value !== "number" ? value ?? "–"
        : name === "mz" ? value.toFixed(4) : Number(value.toPrecision(4))}`;
    }).join("\n");
    tip.style.left = `${Math.min(event.clientX - box.left + 14, box.width - tip.offsetWidth - 4)}px`;
    tip.style.top = `${Math.min(event.clientY - box.top + 10, box.height - tip.offsetHeight - 4)}px`;
  });
  canvas.addEventListener("pointerleave", () => { tip.style.display = "none"; });
  canvas.addEventListener("dblclick", () => show(...full));
  canvas.addEventListener("keydown", (event) => {
    const step = 0.2 * (view[1] - view[0]);
    const actions = {
      ArrowLeft: () => show(view[0] - step, view[1] - step),
      ArrowRight: () => show(view[0] + step, view[1] + step),
      "+": () => zoom(0.8), "=": () => zoom(0.8), "-": () => zoom(1.25),
      Home: () => show(...full),
    };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  });
  new ResizeObserver(draw).observe(canvas);
  show(...full);
}

document.querySelectorAll(".spectrum").forEach(drawSpectrum);
