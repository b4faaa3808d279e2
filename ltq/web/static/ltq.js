/* What HTML cannot do alone: times that pass, whether the page is live, charts, ticks, copies. */
"use strict";
(() => {
  const live = document.getElementById("live");
  const away = document.getElementById("away");
  let ahead = 0; // seconds by which the broker's clock is ahead of this one
  let lastSign = 0;
  let cutSince = null;
  let isOpen = false;
  let awayFrom = null;
  let full = null;

  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const brief = (seconds) => {
    const [length, unit] = units.find(([one]) => seconds >= one) || units[3];
    return `${Math.max(0, Math.floor(seconds / length))} ${unit}`;
  };
  const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString();

  function readClock() {
    const now = document.querySelector("[data-now]");
    if (now) ahead = Number(now.dataset.now) - Date.now() / 1000;
  }

  function showTimes() {
    const now = Date.now() / 1000 + ahead;
    for (const one of document.querySelectorAll("time[data-kind]")) {
      const at = Date.parse(one.dateTime) / 1000;
      const past = now - at;
      const text = one.dataset.kind === "age" ? brief(Math.max(0, past))
        : past >= 0 ? `${brief(past)} ago` : `in ${brief(-past)}`;
      if (one.textContent !== text) one.textContent = text;
      if (!one.dataset.local) {
        one.dataset.local = "1";
        one.title = `${new Date(at * 1000).toLocaleString()} (${one.title})`;
      }
    }
  }

  function showState() {
    if (!live) return;
    const now = Date.now() / 1000;
    // A server that is gone without a word sends no beats any more.
    if (isOpen && now - lastSign > 13) cut(lastSign);
    if (document.hidden) return;
    const state = cutSince !== null && now - cutSince > 1.5 ? "cut" : isOpen && !full ? "live" : "still";
    const text = state === "cut" ? `Disconnected since ${clock(cutSince)}` : state === "live" ? "Live" : full ? "Not live" : null;
    if (live.dataset.state !== state) live.dataset.state = state;
    if (text !== null && live.textContent !== text) live.textContent = text;
    if (awayFrom) {
      const words = `No answer from the broker since ${clock(awayFrom.since)} (${brief(now - awayFrom.since)}): ${awayFrom.text}`;
      if (away.textContent !== words) away.textContent = words;
    }
    if (full) away.textContent = `This page does not move: ${full}.`;
    away.hidden = !awayFrom && !full;
  }

  function cut(since) {
    isOpen = false;
    if (cutSince === null) cutSince = since;
  }

  function sign() {
    lastSign = Date.now() / 1000;
    isOpen = true;
    cutSince = null;
  }

  document.addEventListener("htmx:sse:after:connection", () => { sign(); showState(); });
  document.addEventListener("htmx:sse:before:message", () => sign());
  for (const name of ["htmx:sse:error", "htmx:sse:close", "htmx:error", "htmx:response:error"]) {
    document.addEventListener(name, () => { cut(Date.now() / 1000); showState(); });
  }
  document.addEventListener("htmx:sse:before:connection", () => { if (isOpen) cut(Date.now() / 1000); });
  document.addEventListener("ltq-away", (event) => {
    try { awayFrom = JSON.parse(event.detail.data); } catch { awayFrom = null; }
    showState();
  });
  document.addEventListener("ltq-full", (event) => { full = event.detail.data; showState(); });
  document.addEventListener("ltq-here", () => { awayFrom = full = null; showState(); });
  document.addEventListener("htmx:sse:after:message", () => {
    readClock();
    showTimes();
    drawCharts();
  });

  /* Charts. */
  const drawn = new Map();
  const sizes = new ResizeObserver((boxes) => {
    for (const { target } of boxes) drawn.get(target)?.plot.setSize({ width: target.clientWidth, height: 150 });
  });
  function colour(name) {
    const probe = document.createElement("span");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  function measured(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    const short = (one) => one >= 10 ? one.toFixed(0) : String(Number(one.toPrecision(2)));
    if (seconds < 1) return `${short(seconds * 1000)} ms`;
    return seconds < 60 ? `${short(seconds)} s` : brief(seconds);
  }

  function drawCharts() {
    const source = document.getElementById("charts");
    if (!source || !window.uPlot) return;
    const series = source.dataset.series;
    const [times, good, bad, wait, run] = JSON.parse(series);
    const plans = {
      ended: { data: [times, good, bad], names: ["completed", "failed"], colours: ["accent", "bad"], value: (one) => one ?? "–", fill: true },
      times: { data: [times, wait, run], names: ["waiting", "running"], colours: ["wait", "work"], value: measured, fill: false },
    };
    for (const box of source.querySelectorAll("[data-chart]")) {
      const known = drawn.get(box);
      const plan = plans[box.dataset.chart];
      if (known) {
        if (known.series !== series) { known.series = series; known.plot.setData(plan.data); }
        continue;
      }
      box.replaceChildren();
      const dim = colour("dim"), line = colour("line");
      const axis = { stroke: dim, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui" };
      const plot = new uPlot({
        width: box.clientWidth, height: 150, cursor: { y: false },
        scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
        axes: [{ ...axis, size: 30, values: (_, marks) => marks.map((one) => clock(one).replace(/(:\d\d):\d\d/, "$1")) },
          { ...axis, size: 56, values: (_, marks) => marks.map((one) => plan.fill ? one : measured(one)) }],
        series: [{ value: (_, one) => one === null ? "–" : clock(one) },
          ...plan.names.map((name, place) => {
            const ink = colour(plan.colours[place]);
            return { label: name, stroke: ink, width: 1.5, points: { show: !plan.fill, size: 4 }, spanGaps: false,
              fill: plan.fill ? ink.replace("rgb(", "rgba(").replace(")", ", .18)") : undefined, value: (_, one) => plan.value(one) };
          })],
      }, plan.data, box);
      drawn.set(box, { plot, series });
      sizes.observe(box);
    }
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const { plot } of drawn.values()) plot.destroy();
    drawn.clear();
    drawCharts();
  });

  /* Ticks and copies. */
  document.addEventListener("change", (event) => {
    const name = event.target.dataset ? event.target.dataset.checkAll : undefined;
    if (!name) return;
    for (const one of document.querySelectorAll(`input[type="checkbox"][name="${name}"]`)) one.checked = event.target.checked;
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = document.getElementById(button.dataset.copy).textContent.trim();
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select")) return;
    const search = document.querySelector(".search input");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  });

  // A page that a browser has put aside has lost its stream, and shows what was.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  readClock();
  showTimes();
  drawCharts();
  setInterval(() => { showTimes(); showState(); }, 1000);
})();
