// The entries that the page holds, in the order of time, and those of them that are to be seen.

import { severityName } from "./format.js";

const FIELDS = ["position", "time", "severity", "log", "process", "trace", "insertId", "copies",
  "text", "request"];

function rowOf(values) {
  const row = {};
  FIELDS.forEach((name, index) => { row[name] = values[index]; });
  row.name = severityName(row.severity);
  return row;
}

/** Compare rows as the emulator lists them: by time, equal ones by insertId. */
export function compare(one, other) {
  if (one.time !== other.time) return one.time - other.time;
  if (one.insertId !== other.insertId) return one.insertId < other.insertId ? -1 : 1;
  return one.position - other.position;
}

/** Return the index of the first row that does not stand before another one. */
export function lowerBound(rows, wanted) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(rows[middle], wanted) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class Model {
  constructor() {
    this.maxRows = 200_000;
    this.hidden = new Set();
    this.log = "";
    this.process = "";
    this.clear();
  }

  clear() {
    this.rows = [];
    this.view = [];
    this.byPosition = new Map();
    this.severities = new Map();
    this.logs = new Map();
    this.processes = new Map();
    this.repeated = 0;
  }

  /** Take summaries; return the rows that are new. */
  add(summaries) {
    const fresh = summaries.map(rowOf).toSorted(compare);
    if (!fresh.length) return fresh;
    const start = lowerBound(this.rows, fresh[0]);
    const later = this.rows.splice(start);
    this.#append(later, fresh);
    for (const row of fresh) this.#count(row, 1);
    this.#lookAgain(fresh[0], start);
    if (this.rows.length > this.maxRows) this.#dropOldest();
    return fresh;
  }

  /** Note how often entries were stored; return the rows of those that are here. */
  setCopies(pairs) {
    const changed = [];
    for (const [position, copies] of pairs) {
      const row = this.byPosition.get(position);
      if (row === undefined) continue;
      this.repeated += (copies > 1) - (row.copies > 1);
      row.copies = copies;
      changed.push(row);
    }
    return changed;
  }

  /** Find anew what is to be seen, after a choice has changed. */
  choose() {
    this.view = this.rows.filter((row) => this.isShown(row));
  }

  isShown(row) {
    return !this.hidden.has(row.name)
      && (!this.log || row.log === this.log)
      && (!this.process || row.process === this.process);
  }

  indexOf(row) {
    const index = lowerBound(this.view, row);
    return this.view[index] === row ? index : -1;
  }

  #append(later, fresh) {
    let at = 0;
    for (const row of fresh) {
      while (at < later.length && compare(later[at], row) < 0) this.rows.push(later[at++]);
      this.rows.push(row);
    }
    while (at < later.length) this.rows.push(later[at++]);
  }

  #lookAgain(first, start) {
    this.view.length = lowerBound(this.view, first);
    for (let index = start; index < this.rows.length; index++) {
      if (this.isShown(this.rows[index])) this.view.push(this.rows[index]);
    }
  }

  #dropOldest() {
    const dropped = this.rows.splice(0, this.rows.length - Math.floor(this.maxRows * 0.95));
    for (const row of dropped) this.#count(row, -1);
    this.choose();
  }

  #count(row, sign) {
    if (sign > 0) this.byPosition.set(row.position, row);
    else this.byPosition.delete(row.position);
    this.repeated += row.copies > 1 ? sign : 0;
    add(this.severities, row.name, sign);
    add(this.logs, row.log, sign);
    add(this.processes, row.process, sign);
  }
}

function add(counts, key, sign) {
  const count = (counts.get(key) ?? 0) + sign;
  if (count) counts.set(key, count);
  else counts.delete(key);
}
