
"use strict";
// Follows /events. Everything that the server sends is shown by textContent.
const span = 120;        // seconds that the plots show
const maxEvents = 100;   // lines that are kept
const silence = 5000;    // ms without a status before the line counts as dead
const $ = id => document.getElementById(id);

function make(tag, text, cls) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (cls) e.className = cls;
  return e;
}

// Figures as people read them.
function count(n) {
  if (n === null || n === undefined || !isFinite(n)) return "–";
  if (n >= 1e6) return (n / 1e6).toFixed(n < 1e7 ? 2 : 1) + " M";
  if (n >= 1e4) return (n / 1e3).toFixed(1) + " k";
  return n >= 10 || n === Math.floor(n) ? String(Math.round(n)) : n.toFixed(1);
}
function duration(s) {
  if (s === null || s === undefined) return "–";
  if (s < 1e-3) return Math.round(s * 1e6) + " µs";
  if (s < 1) return (s * 1e3).toFixed(s < 0.01 ? 1 : 0) + " ms";
  if (s < 100) return s.toFixed(1) + " s";
  const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
  if (d) return d + " d " + h + " h";
  return h ? h + " h " + m + " min" : m + " min " + Math.floor(s % 60) + " s";
}
function bytes(n) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (n < 1024) return (n < 10 && unit !== "B" ? n.toFixed(1) : Math.round(n)) + " " + unit;
    n /= 1024;
  }
  return n.toFixed(1) + " TiB";
}
const percent = n => n === null || n === undefined ? "–" : n.toFixed(n < 10 ? 1 : 0) + " %";

// What has been seen.
let last = null;       // status
let points = [];       // one a status, of the last span seconds
let marks = [];        // {t, level}: events worth a line in the plots
let source = null, heard = 0, retry = 1000, timer = 0, live = false;

// quantile reads q out of what came between two histograms, or null.
function quantile(now, before, q) {
  const counts = now.counts.map((n, i) => n - (before ? before.counts[i] : 0));
  const all = counts.reduce((a, n) => a + n, 0);
  if (all <= 0) return null;
  let rank = q * all;
  for (let i = 0; i < counts.length; i++) {
    if (rank <= counts[i] && counts[i] > 0) {
      const low = i ? now.bounds_s[i - 1] : 0;
      const high = i < now.bounds_s.length ? now.bounds_s[i] : low;
      return low + (high - low) * rank / counts[i];
    }
    rank -= counts[i];
  }
  return now.bounds_s[now.bounds_s.length - 1];
}
const sum = h => h.counts.reduce((a, n) => a + n, 0);

function update(s) {
  if (last && (s.pid !== last.pid || s.uptime_s < last.uptime_s)) {
    // Another server: its events count from 1 again.
    last = null; points = []; marks = [];
    connect();
    return;
  }
  const dt = last ? s.uptime_s - last.uptime_s : 0;
  const point = { t: Date.now() / 1000, active: s.totals.active };
  if (dt > 0.05) {
    const rate = (a, b) => (a - b) / dt;
    point.conns = rate(s.totals.handled + s.totals.failed, last.totals.handled + last.totals.failed);
    point.failed = rate(s.totals.failed, last.totals.failed);
    point.answers = rate(sum(s.handler_latency), sum(last.handler_latency));
    point.p50 = quantile(s.handler_latency, last.handler_latency, 0.5);
    point.p99 = quantile(s.handler_latency, last.handler_latency, 0.99);
    point.cpu = rate(s.cpu_s, last.cpu_s) * 100;
  }
  points.push(point);
  points = points.filter(p => p.t > point.t - span - 2);
  marks = marks.filter(m => m.t > point.t - span - 2);
  head(s);
  figures(s, point);
  plots(point.t);
  workers(s, dt);
  listeners(s);
  last = s;
}

function head(s) {
  const kind = { running: "good", booting: "warn", reloading: "warn", probation: "warn", draining: "warn" }[s.state] || "bad";
  $("state").textContent = s.degraded ? s.state + ", degraded" : s.state;
  $("state").className = "badge " + (s.degraded ? "bad" : kind);
  $("about").textContent = "generation " + s.generation + " · up " + duration(s.uptime_s) + " · PID " + s.pid +
    " · " + s.mode + (s.spawn ? " (" + s.spawn + ")" : "") + " · " + s.version;
  $("degraded").hidden = !s.degraded;
  $("degraded").textContent = s.degraded ? "Degraded: " + s.degraded : "";
  const r = s.last_reload;
  $("reloads").textContent = s.reloads.ok + " reloads, " + s.reloads.failed + " failed" +
    (r.at && !r.ok ? "; the last: " + r.error : "");
  document.title = "prefork: " + s.state;
}

function figures(s, p) {
  const rss = s.workers.reduce((a, w) => a + w.rss_bytes, 0);
  const serving = s.workers.filter(w => w.generation === s.generation && (w.state === "ready" || w.state === "busy")).length;
  const rows = [
    ["answers/s", count(p.answers)],
    ["new connections/s", count(p.conns)],
    ["connections", count(s.totals.active)],
    ["latency p50", duration(p.p50)],
    ["latency p99", duration(p.p99)],
    ["workers of " + s.target, String(serving)],
    ["workers lost", count(s.totals.restarts)],
    ["handled", count(s.totals.handled)],
    ["failed", count(s.totals.failed)],
    ["memory", bytes(rss)],
  ];
  $("figures").replaceChildren(...rows.map(([name, value]) => {
    const box = make("div");
    box.append(make("span", name), make("b", value));
    return box;
  }));
}

// The plots: each has a scale of its own, from 0, or in powers of ten if it
// spans them.
const charts = [
  { title: "Rate", show: n => count(n) + "/s", lines: [["answers", "a", p => p.answers], ["connections", "b", p => p.conns], ["failed", "c", p => p.failed]] },
  { title: "Latency", show: duration, log: true, lines: [["p99", "a", p => p.p99], ["p50", "b", p => p.p50]] },
  { title: "Connections", show: count, lines: [["", "a", p => p.active]] },
  { title: "Processor", show: percent, lines: [["of one CPU", "a", p => p.cpu]] },
];

function svg(d, cls) {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", d);
  path.setAttribute("class", cls);
  return path;
}

// nice rounds a maximum up to 1, 2 or 5 times a power of ten.
function nice(n) {
  if (!(n > 0)) return 1;
  const power = Math.pow(10, Math.floor(Math.log10(n)));
  return [1, 2, 5, 10].map(m => m * power).find(v => v >= n);
}

function build() {
  $("plots").replaceChildren(...charts.map(c => {
    const figure = make("figure"), caption = make("figcaption", c.title);
    c.values = c.lines.map(([name, cls]) => {
      const label = make("span");
      label.append(make("i", "", cls), make("span", ""));
      caption.append(label);
      return label.lastChild;
    });
    const plot = make("div", undefined, "plot");
    c.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    c.svg.setAttribute("viewBox", "0 0 1000 100");
    c.svg.setAttribute("preserveAspectRatio", "none");
    c.svg.setAttribute("role", "img");
    c.svg.setAttribute("aria-label", c.title);
    c.top = make("span", "", "top");
    c.mid = make("span", "", "mid");
    plot.append(c.svg, c.top, c.mid);
    const ends = make("div", undefined, "ends");
    ends.append(make("span", "2 min ago"), make("span", "now"));
    figure.append(caption, plot, ends);
    return figure;
  }));
}

function plots(now) {
  const x = t => (1000 - (now - t) / span * 1000).toFixed(1);
  for (const c of charts) {
    let most = 0, least = Infinity;
    for (const p of points) for (const line of c.lines) {
      const v = line[2](p) || 0;
      most = Math.max(most, v);
      if (v > 0) least = Math.min(least, v);
    }
    let max = nice(most), min = 0;
    if (c.log && most > 0) {
      max = Math.pow(10, Math.ceil(Math.log10(most)));
      min = Math.pow(10, Math.floor(Math.log10(least) - 1e-9));
    }
    const part = v => c.log ? (min > 0 ? Math.log(v / min) / Math.log(max / min) : 0) : v / max;
    const y = v => (99 - part(v) * 95).toFixed(2);
    const paths = [svg("M0 4H1000M0 51.5H1000M0 99H1000", "grid")];
    for (const m of marks) paths.push(svg("M" + x(m.t) + " 0V100", "mark " + m.level));
    c.lines.forEach(([name, cls, read], i) => {
      let d = "", first = null, end = null, value = null, biggest = 0;
      for (const p of points) {
        const v = read(p);
        if (v === null || v === undefined) { value = null; continue; }
        d += (value === null ? "M" : "L") + x(p.t) + " " + y(v);
        if (first === null) first = x(p.t);
        end = x(p.t);
        value = v;
        biggest = Math.max(biggest, v);
      }
      if (biggest === 0) d = ""; // nothing to see
      if (d && i === 0 && !d.includes("M", 1)) paths.push(svg(d + "V99H" + first + "Z", "fill " + cls));
      if (d) paths.push(svg(d, cls));
      c.values[i].textContent = (name ? name + " " : "") + c.show(value);
    });
    c.svg.replaceChildren(...paths);
    c.top.textContent = c.show(max);
    c.mid.textContent = c.show(c.log ? Math.sqrt(max * min) : max / 2);
  }
}

const columns = [
  ["slot", 1], ["PID", 1], ["gen", 1], ["state", 0], ["in hand", 1], ["answers/s", 1], ["conns/s", 1], ["handled", 1], ["failed", 1],
  ["CPU", 1], ["RSS", 1], ["heap", 1], ["goroutines", 1], ["loop lag", 1], ["age", 1], ["doing", 0],
];

function workers(s, dt) {
  const before = new Map((last ? last.workers : []).map(w => [w.pid, w]));
  const since = (w, key) => {
    const b = before.get(w.pid);
    return b && dt > 0.05 ? Math.max(0, w[key] - b[key]) / dt : null;
  };
  const rows = s.workers.slice().sort((a, b) => a.slot - b.slot || a.pid - b.pid).map(w => {
    const tr = make("tr");
    if (/^[a-z]+$/.test(w.state)) tr.className = w.state;
    const cpu = since(w, "cpu_s");
    [w.slot, w.pid, w.generation, w.state, count(w.active), count(since(w, "answers")), count(since(w, "handled")), count(w.handled), count(w.failed),
      percent(cpu === null ? null : cpu * 100), bytes(w.rss_bytes), bytes(w.heap_bytes), w.goroutines, duration(w.loop_lag_s), duration(w.age_s),
      w.doing ? w.doing + " for " + duration(w.doing_s || 0) : ""].forEach((v, i) => {
      const td = make("td", v, columns[i][1] ? "n" : columns[i][0]);
      if (columns[i][0] === "doing") td.title = v;
      tr.append(td);
    });
    return tr;
  });
  $("workers").tBodies[0].replaceChildren(...rows);
  const generations = new Map();
  for (const w of s.workers) generations.set(w.generation, (generations.get(w.generation) || 0) + 1);
  $("generations").textContent = [...generations].sort((a, b) => b[0] - a[0])
    .map(([g, n]) => "generation " + g + ": " + n + (g === s.generation ? "" : " (not serving)")).join(", ");
}

function listeners(s) {
  $("listeners").tBodies[0].replaceChildren(...s.listeners.map(l => {
    const tr = make("tr");
    tr.append(make("td", l.name), make("td", l.address), make("td", l.queued < 0 ? "–" : l.queued, "n"));
    return tr;
  }));
}

// field is a field of the log as its console form has it.
function field(v) {
  if (typeof v === "number" && !Number.isInteger(v)) return String(Number(v.toPrecision(3)));
  return typeof v === "string" ? v : JSON.stringify(v);
}

function log(e) {
  const level = { warn: "warn", error: "error" }[e.level] || "info";
  const li = make("li", undefined, level);
  const at = new Date(e.at), time = make("time", at.toLocaleTimeString());
  time.title = e.at;
  const fields = Object.entries(e.fields || {}).filter(([k]) => k !== "role")
    .map(([k, v]) => k + "=" + field(v)).join("  ");
  li.append(time, make("b", e.message), make("span", fields, "fields"));
  $("events").prepend(li);
  while ($("events").childElementCount > maxEvents) $("events").lastChild.remove();
  if (level !== "info" || e.message === "reload done") marks.push({ t: live ? Date.now() / 1000 : at.getTime() / 1000, level });
  if (marks.length > 200) marks.shift();
}

// connect follows the server from the beginning of what it remembers.
function connect() {
  clearTimeout(timer);
  if (source) source.close();
  $("events").replaceChildren();
  marks = []; live = false; heard = Date.now();
  const s = source = new EventSource("events");
  s.addEventListener("status", e => {
    if (s !== source) return;
    heard = Date.now(); retry = 1000;
    document.body.classList.remove("stale");
    $("link").textContent = "live";
    $("link").className = "link good";
    update(JSON.parse(e.data));
    setTimeout(() => { live = true; }, 0);
  });
  s.addEventListener("log", e => { if (s === source) log(JSON.parse(e.data)); });
  s.onerror = () => {
    if (s !== source) return;
    lost();
    // The browser comes back by itself, unless it was turned away.
    if (s.readyState === EventSource.CLOSED) again();
  };
}
function lost() {
  document.body.classList.add("stale");
  $("link").textContent = "not connected, trying again";
  $("link").className = "link";
}
function again() {
  clearTimeout(timer);
  timer = setTimeout(connect, retry);
  retry = Math.min(retry * 2, 10000);
}
setInterval(() => {
  if (Date.now() - heard > silence) { lost(); heard = Date.now(); again(); }
}, 1000);

$("columns").replaceChildren(...columns.map(([name, right]) => {
  const th = make("th", name, right ? "n" : "");
  th.scope = "col";
  return th;
}));
build();
connect();
