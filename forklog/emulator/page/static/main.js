// Puts the parts of the page together. Arrivals are shown once a frame, however many there are.

import { Chart } from "./chart.js";
import { Choosers } from "./choosers.js";
import { byId } from "./dom.js";
import { Drawer } from "./drawer.js";
import { FaultsPanel } from "./faults.js";
import { FilterBox } from "./filter.js";
import { isToday, number, plural } from "./format.js";
import { KeysPanel, showEmpty } from "./help.js";
import { List } from "./list.js";
import { Model } from "./model.js";
import { Stream, call } from "./stream.js";
import { TracePanel } from "./trace.js";

const SURE_MILLISECONDS = 3000;
const COUNT_MILLISECONDS = 250;

const model = new Model();
const drawer = new Drawer();
const chart = new Chart(byId("chart"));
const faults = new FaultsPanel(drawer, byId("open-faults"));
const keys = new KeysPanel(drawer, byId("open-keys"));
const trace = new TracePanel(drawer, byId("list"));
const list = new List({ list: byId("list"), sizer: byId("sizer"), toNewest: byId("to-newest") }, model,
  { trace: (row) => trace.open(row.trace) });
const choosers = new Choosers({ severities: byId("severities"), log: byId("log"), process: byId("process") }, model, chosen);
const filter = new FilterBox(apply);
const stream = new Stream({ hello, rows, copies, state, lost, refused });

let left = 0;
let total = 0;
let isLive = false;
let arrived = 0;
let frame = 0;
let pause = 0;
let isOld = false;

function hello({ maxRows }) {
  model.clear();
  model.maxRows = maxRows;
  chart.clear();
  list.clear();
  list.isFollowing = true;
  total = 0;
  setStatus("loading", "Loading");
  setLost("");
}

function rows(event) {
  ({ left } = event);
  total = Math.max(total, left);
  const fresh = model.add(event.rows);
  let shown = 0;
  for (const row of fresh) {
    if (!model.isShown(row)) continue;
    chart.add(row);
    shown++;
  }
  arrived += shown;
  if (!list.hasDays && fresh.length && !(isToday(fresh[0].time) && isToday(fresh.at(-1).time))) {
    list.hasDays = true;
    list.refresh();
  }
  trace.arrived(fresh);
  if (!left && !isLive) setStatus("live", "Live");
  draw();
}

function copies(pairs) {
  const changed = model.setCopies(pairs);
  if (!changed.length) return;
  list.refresh(changed);
  draw();
}

function state({ faults: armed }) {
  faults.show(armed);
  draw();
}

function lost() {
  setStatus("lost", "Connection lost");
  setLost(`Connection lost: ${location.host} does not answer. Trying again every second.`);
}

function refused(finding) {
  filter.refused(finding);
  setStatus("loading", "Filter given up");
}

function setStatus(name, text) {
  const status = byId("status");
  isLive = name === "live";
  status.dataset.state = name;
  status.lastElementChild.textContent = text;
}

function setLost(text) {
  byId("lost").hidden = !text;
  byId("lost").textContent = text;
  document.body.toggleAttribute("data-lost", Boolean(text));
}

function draw() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    const count = arrived;
    arrived = 0;
    byId("list").toggleAttribute("data-days", Boolean(list.hasDays));
    list.update(count);
    drawFoot();
    drawCounts();
  });
}

/** Draw what counts: at once, and then not again for a while, since arrivals change it always. */
function drawCounts() {
  if (pause) { isOld = true; return; }
  isOld = false;
  choosers.update();
  chart.draw();
  pause = setTimeout(() => { pause = 0; if (isOld) drawCounts(); }, COUNT_MILLISECONDS);
}

function drawFoot() {
  const seen = model.view.length;
  const all = model.rows.length;
  byId("shown").textContent = seen === all ? plural(all, "entry", "entries")
    : `${number(seen)} of ${plural(all, "entry", "entries")}`;
  byId("repeated").textContent = model.repeated ? `${number(model.repeated)} stored more than once` : "";
  const progress = byId("progress");
  progress.hidden = !left;
  progress.style.width = total ? `${100 * (1 - left / total)}%` : "0";
  const isEmpty = isLive && !left && !seen;
  showEmpty(byId("empty"), isEmpty ? (all || filter.applied ? "filtered" : "first") : null, { showAll });
}

function chosen() {
  model.choose();
  chart.recount(model.view);
  draw();
}

function showAll() {
  for (const button of byId("severities").querySelectorAll('[aria-pressed="false"]')) button.click();
  for (const id of ["log", "process"]) {
    byId(id).value = "";
    byId(id).dispatchEvent(new Event("change"));
  }
  filter.set("");
}

function apply(text) {
  const address = new URL(location.href);
  if (text) address.searchParams.set("filter", text);
  else address.searchParams.delete("filter");
  history.replaceState(null, "", address);
  byId("export").href = text ? `/emulator/entries?filter=${encodeURIComponent(text)}` : "/emulator/entries";
  stream.open(text);
}

function clearEntries(event) {
  const button = event.currentTarget;
  if (button.dataset.sure === undefined) {
    button.dataset.sure = "";
    button.textContent = "Remove all?";
    setTimeout(() => { delete button.dataset.sure; button.textContent = "Clear"; }, SURE_MILLISECONDS);
    return;
  }
  delete button.dataset.sure;
  button.textContent = "Clear";
  call("DELETE", "/emulator/entries").catch(() => {});
}

function key(event) {
  const isWriting = event.target.matches("input, select, textarea");
  if (event.key === "Escape" && drawer.owner && !isWriting) drawer.close();
  if (isWriting || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); byId("filter").focus(); }
  else if (event.key === "?") { event.preventDefault(); keys.toggle(); }
  else if (event.target === document.body && list.key(event)) byId("list").focus();
}

byId("clear").addEventListener("click", clearEntries);
document.addEventListener("keydown", key);
setInterval(() => { if (isLive) chart.draw(); }, 5000);

const given = new URL(location.href).searchParams.get("filter");
if (given) await filter.set(given);
if (!given || filter.applied !== given) stream.open("");
