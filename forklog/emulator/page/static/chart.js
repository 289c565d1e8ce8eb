// Counts by severity over the last minutes, as stacked bars.

import { make, makeSvg } from "./dom.js";
import { SEVERITIES, clockOfDay, number, plural } from "./format.js";

const SLOT = 10_000;
const SLOTS = 60;
const HEIGHT = 44;
const WIDTH = 8;

export class Chart {
  constructor(element) {
    this.element = element;
    this.svg = makeSvg("svg", {
      viewBox: `0 0 ${SLOTS * WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    });
    this.most = make("span");
    element.append(this.svg, make("figcaption", {},
      make("span", { textContent: `${(SLOT * SLOTS) / 60_000} min ago` }), this.most,
      make("span", { textContent: "now" })));
    this.clear();
  }

  clear() {
    this.counts = new Map(); // slot -> counts by severity
  }

  add(row, sign = 1) {
    const slot = Math.floor(row.time / SLOT);
    if (!this.counts.has(slot)) this.counts.set(slot, new Map());
    const counts = this.counts.get(slot);
    counts.set(row.name, (counts.get(row.name) ?? 0) + sign);
  }

  /** Count anew, after a choice has changed. */
  recount(rows) {
    this.clear();
    const oldest = Date.now() - SLOT * (SLOTS + 1);
    for (let index = rows.length - 1; index >= 0 && rows[index].time >= oldest; index--) this.add(rows[index]);
  }

  draw(now = Date.now()) {
    const last = Math.floor(now / SLOT);
    for (const slot of this.counts.keys()) if (slot <= last - SLOTS) this.counts.delete(slot);
    const bars = [];
    for (let slot = last - SLOTS + 1; slot <= last; slot++) bars.push([slot, this.counts.get(slot)]);
    const sums = bars.map(([, counts]) => (counts ? sum(counts.values()) : 0));
    const most = Math.max(1, ...sums);
    const children = [makeSvg("line", { class: "axis", x1: 0, x2: SLOTS * WIDTH, y1: HEIGHT, y2: HEIGHT })];
    bars.forEach(([slot, counts], index) => {
      if (counts) children.push(...stack(counts, index, most), hover(slot, counts, index));
    });
    this.svg.replaceChildren(...children);
    this.svg.setAttribute("aria-label", this.#label(bars));
    this.most.textContent = sum(sums) ? `at most ${number(most)} in 10 s` : "";
  }

  #label(bars) {
    const totals = new Map();
    for (const [, counts] of bars) {
      for (const [name, count] of counts ?? []) totals.set(name, (totals.get(name) ?? 0) + count);
    }
    return `Entries of the last 10 minutes: ${listed(totals) || "none"}`;
  }
}

function stack(counts, index, most) {
  const parts = [];
  let y = HEIGHT;
  for (const name of SEVERITIES) {
    const count = counts.get(name);
    if (!count) continue;
    const height = Math.max(1.5, (count / most) * (HEIGHT - 2));
    y -= height;
    const rect = makeSvg("rect", { x: index * WIDTH + 1, y, width: WIDTH - 2, height });
    rect.dataset.severity = name;
    rect.dataset.count = count;
    parts.push(rect);
  }
  return parts;
}

function hover(slot, counts, index) {
  const rect = makeSvg("rect", { class: "slot", x: index * WIDTH, y: 0, width: WIDTH, height: HEIGHT });
  const from = clockOfDay(slot * SLOT);
  rect.append(makeSvg("title", {}, `${from} and 10 s on: ${listed(counts)}`));
  return rect;
}

const sum = (values) => [...values].reduce((one, other) => one + other, 0);

const listed = (counts) => SEVERITIES.filter((name) => counts.get(name))
  .map((name) => plural(counts.get(name), name, name)).join(", ");
