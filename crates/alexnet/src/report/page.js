"use strict";
// Tooltips with the values under the pointer. All text is inserted as text, never as markup.
const tip = document.getElementById("tip");

function show(lines, x, y) {
  tip.replaceChildren(...lines.map(({ text, colour }) => {
    const line = document.createElement("div");
    if (colour) line.append(Object.assign(document.createElement("i"), { className: "c" + colour }));
    line.append(text);
    return line;
  }));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect(), edge = document.documentElement.clientWidth - width - 8;
  tip.style.left = Math.max(8, Math.min(x + 14, edge)) + window.scrollX + "px";
  tip.style.top = (y - height - 12 < 0 ? y + 18 : y - height - 12) + window.scrollY + "px";
}
const hide = () => { tip.hidden = true; };

const places = { number: v => v !== 0 && Math.abs(v) < 1e-3 ? v.toExponential(3) : String(Number(v.toPrecision(6))),
  percent: v => (100 * v).toFixed(2) + " %", count: v => v.toFixed(0) };

for (const svg of document.querySelectorAll("svg[data-chart]")) {
  const chart = JSON.parse(svg.dataset.chart), [left, top, right, bottom] = chart.plot;
  const xs = [...new Set(chart.series.flatMap(s => s.points.map(p => p[0])))].sort((a, b) => a - b);
  const across = x => left + (x - chart.xs[0]) / (chart.xs[1] - chart.xs[0]) * (right - left);
  const down = y => {
    const share = ((chart.log ? Math.log10(y) : y) - chart.ys[0]) / (chart.ys[1] - chart.ys[0]);
    return bottom - Math.max(0, Math.min(1, share)) * (bottom - top);
  };
  const nearest = (values, x, of) => values.reduce((best, v) => Math.abs(of(v) - x) < Math.abs(of(best) - x) ? v : best, values[0]);
  const marks = document.createElementNS(svg.namespaceURI, "g");
  svg.append(marks);
  const mark = (name, attributes) => {
    const element = document.createElementNS(svg.namespaceURI, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    marks.append(element);
  };
  let at = 0;
  const point = (x, place) => {
    at = xs.indexOf(x);
    marks.replaceChildren();
    mark("line", { class: "cross", x1: across(x), x2: across(x), y1: top, y2: bottom });
    const lines = [{ text: chart.x + " " + Number(x.toFixed(2)) }];
    for (const s of chart.series) {
      const p = nearest(s.points, x, p => p[0]);
      if (!p) continue;
      const far = Math.abs(p[0] - x) > 0.006 * (chart.xs[1] - chart.xs[0]);
      const value = p[1] === null ? "not finite" : places[chart.unit](p[1]);
      lines.push({ text: `${s.name} ${value}` + (far ? ` (${chart.x} ${Number(p[0].toFixed(2))})` : ""), colour: s.colour });
      if (p[1] !== null && !(chart.log && p[1] <= 0)) mark("circle", { class: "dot c" + s.colour, cx: across(p[0]), cy: down(p[1]), r: 3.6 });
    }
    const box = svg.getBoundingClientRect();
    show(lines, box.left + across(x) / 400 * box.width, place ?? box.top + 40);
  };
  const move = event => {
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * 400;
    point(nearest(xs, chart.xs[0] + (x - left) / (right - left) * (chart.xs[1] - chart.xs[0]), v => v), event.clientY);
  };
  const leave = () => { marks.replaceChildren(); hide(); };
  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerdown", move);
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("blur", leave);
  svg.addEventListener("keydown", event => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") leave();
    if (!by) return;
    event.preventDefault();
    point(xs[Math.max(0, Math.min(xs.length - 1, at + by))]);
  });
}

for (const kind of ["pointermove", "pointerdown"]) {
  document.addEventListener(kind, event => {
    const element = event.target.closest("[data-tip]");
    if (element) show([{ text: element.dataset.tip }], event.clientX, event.clientY);
    else if (!event.target.closest("svg[data-chart]")) hide();
  });
}

for (const time of document.querySelectorAll("time[data-at]")) {
  time.title = time.textContent;
  time.textContent = new Date(Number(time.dataset.at)).toLocaleString();
}

// During training, the page is rewritten after each epoch.
if ("live" in document.documentElement.dataset) {
  const box = document.getElementById("reload");
  // The dashboard, which shows this page in a frame, replaces it itself.
  if (window.top !== window) box.closest("label").hidden = true;
  else setInterval(() => { if (box.checked && tip.hidden && document.visibilityState === "visible") location.reload(); }, 20000);
}
