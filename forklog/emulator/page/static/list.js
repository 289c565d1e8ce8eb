// The list: only the rows that are in sight, and a few more, are in the document.

import { make } from "./dom.js";
import { isSevere } from "./format.js";
import { lineOf, detailOf } from "./row.js";

const SPARE = 10;
const NEAR_END = 6;

export class List {
  /** @param actions trace(row): shows the trace of a row. */
  constructor({ list, sizer, toNewest }, model, actions) {
    this.list = list;
    this.sizer = sizer;
    this.toNewest = toNewest;
    this.model = model;
    this.actions = actions;
    this.elements = new Map();
    this.expanded = new Map(); // row -> height of its detail
    this.details = new Map();
    this.current = null;
    this.isFollowing = true;
    this.missed = 0;
    list.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    list.addEventListener("keydown", (event) => { if (event.target === list) this.key(event); });
    toNewest.addEventListener("click", () => this.follow());
    new ResizeObserver(() => this.update()).observe(list);
    this.observer = new ResizeObserver((entries) => this.#measure(entries));
  }

  clear() {
    for (const element of this.elements.values()) element.remove();
    this.elements.clear();
    this.expanded.clear();
    this.details.clear();
    this.current = null;
    this.missed = 0;
    this.update();
  }

  /** Show what the model has now; what is being read stays where it is. */
  update(arrived = 0) {
    const anchor = this.isFollowing ? null : this.anchor;
    this.rowHeight = Number.parseInt(getComputedStyle(this.list).getPropertyValue("--row"), 10);
    this.#place();
    this.sizer.style.height = `${this.#top(this.model.view.length)}px`;
    if (this.isFollowing) this.list.scrollTop = this.list.scrollHeight;
    else if (anchor !== null) this.#restore(anchor);
    this.missed = this.isFollowing ? 0 : this.missed + arrived;
    this.toNewest.hidden = this.isFollowing || !this.model.view.length;
    this.toNewest.textContent = this.missed ? `${this.missed.toLocaleString("en-US")} new ↓` : "Newest ↓";
    this.render();
  }

  follow() {
    this.isFollowing = true;
    this.update();
  }

  render() {
    const { view } = this.model;
    const { scrollTop, clientHeight } = this.list;
    const first = Math.max(0, this.#indexAt(scrollTop) - SPARE);
    const last = Math.min(view.length, this.#indexAt(scrollTop + clientHeight) + SPARE + 1);
    const wanted = new Set(view.slice(first, last));
    for (const [row, element] of this.elements) {
      if (!wanted.has(row)) { element.remove(); this.elements.delete(row); }
    }
    for (let index = first; index < last; index++) this.#show(view[index], index);
    this.anchor = view.length ? this.#anchorAt(scrollTop) : null;
    const current = this.elements.get(this.current);
    if (current) this.list.setAttribute("aria-activedescendant", current.id);
    else this.list.removeAttribute("aria-activedescendant");
  }

  /** Have the next update make rows anew, all or some; until then what is being read is known. */
  refresh(rows = [...this.elements.keys()]) {
    for (const row of rows) {
      this.elements.get(row)?.remove();
      this.elements.delete(row);
    }
  }

  toggle(row) {
    this.select(row);
    if (this.expanded.delete(row)) this.details.delete(row);
    else {
      this.expanded.set(row, this.rowHeight * 8);
      this.isFollowing = false;
    }
    this.elements.get(row)?.remove();
    this.elements.delete(row);
    this.update();
    this.#reveal(row);
  }

  select(row) {
    const before = this.current;
    this.current = row;
    for (const one of [before, row]) this.elements.get(one)?.setAttribute("aria-selected", String(one === row));
  }

  #show(row, index) {
    let element = this.elements.get(row);
    if (element === undefined) {
      element = this.#make(row);
      this.elements.set(row, element);
      this.sizer.append(element);
    }
    element.style.transform = `translateY(${this.#top(index)}px)`;
    element.setAttribute("aria-posinset", index + 1);
    element.setAttribute("aria-setsize", this.model.view.length);
  }

  #make(row) {
    const isExpanded = this.expanded.has(row);
    const element = make("div", {
      className: "row", id: `row-${row.position}`, role: "treeitem", data: { severity: row.name },
      "aria-expanded": isExpanded, "aria-selected": row === this.current,
    }, lineOf(row, { toggle: () => this.toggle(row), trace: () => this.actions.trace(row) }, this.hasDays));
    if (isSevere(row.severity)) element.dataset.severe = "";
    if (isExpanded) {
      if (!this.details.has(row)) this.details.set(row, detailOf(row, this.actions));
      element.append(this.details.get(row));
      this.observer.observe(this.details.get(row));
    }
    return element;
  }

  #measure(entries) {
    let hasChanged = false;
    for (const [row, detail] of this.details) {
      const found = entries.find((entry) => entry.target === detail);
      const height = found && detail.isConnected ? detail.offsetHeight : 0;
      if (height && height !== this.expanded.get(row)) { this.expanded.set(row, height); hasChanged = true; }
    }
    if (hasChanged) { this.update(); if (this.current) this.#reveal(this.current); }
  }

  /** Find where the expanded rows stand now; a row that is not shown has no place. */
  #place() {
    this.places = [...this.expanded]
      .map(([row, height]) => ({ index: this.model.indexOf(row), height }))
      .filter(({ index }) => index >= 0)
      .toSorted((one, other) => one.index - other.index);
  }

  #top(index) {
    let top = index * this.rowHeight;
    for (const place of this.places) if (place.index < index) top += place.height;
    return top;
  }

  #indexAt(y) {
    let top = y;
    for (const place of this.places) {
      const end = (place.index + 1) * this.rowHeight;
      if (top < end) break;
      if (top < end + place.height) return place.index;
      top -= place.height;
    }
    return Math.max(0, Math.min(this.model.view.length - 1, Math.floor(top / this.rowHeight)));
  }

  #anchorAt(scrollTop) {
    const index = this.#indexAt(scrollTop);
    return { row: this.model.view[index], offset: scrollTop - this.#top(index) };
  }

  #restore({ row, offset }) {
    let index = this.model.indexOf(row);
    if (index < 0) index = this.model.view.findIndex((other) => other.time >= row.time);
    if (index < 0) index = this.model.view.length - 1;
    if (index >= 0) this.list.scrollTop = this.#top(index) + offset;
  }

  #reveal(row) {
    const index = this.model.indexOf(row);
    if (index < 0) return;
    const top = this.#top(index);
    const height = this.rowHeight + (this.expanded.get(row) ?? 0);
    const { scrollTop, clientHeight } = this.list;
    if (top < scrollTop || height > clientHeight) this.list.scrollTop = top;
    else if (top + height > scrollTop + clientHeight) this.list.scrollTop = top + height - clientHeight;
    this.render();
  }

  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.list;
    this.isFollowing = scrollTop + clientHeight >= scrollHeight - NEAR_END;
    if (this.isFollowing) this.missed = 0;
    this.toNewest.hidden = this.isFollowing || !this.model.view.length;
    this.render();
  }

  /** Do what a key is for; return whether it is for anything here. */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const page = Math.max(1, Math.floor(this.list.clientHeight / this.rowHeight) - 1);
    const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page, k: -1, j: 1 };
    if (event.key in steps) this.#move(steps[event.key]);
    else if (event.key === "Home") this.#go(0);
    else if (event.key === "End") { this.#go(this.model.view.length - 1); this.follow(); }
    else if (event.key === "Enter" || event.key === " ") { if (this.current) this.toggle(this.current); }
    else if (event.key === "ArrowRight" || event.key === "ArrowLeft") this.#fold(event.key === "ArrowRight");
    else if (event.key === "t") { if (this.current?.trace) this.actions.trace(this.current); }
    else return false;
    event.preventDefault();
    return true;
  }

  #fold(isOpen) {
    if (this.current && this.expanded.has(this.current) !== isOpen) this.toggle(this.current);
  }

  #move(step) {
    const at = this.current ? this.model.indexOf(this.current) : -1;
    if (at >= 0) this.#go(at + step);
    else this.#go(this.isFollowing ? this.model.view.length - 1 : this.#indexAt(this.list.scrollTop) + 1);
  }

  #go(index) {
    const { view } = this.model;
    if (!view.length) return;
    this.select(view[Math.max(0, Math.min(view.length - 1, index))]);
    this.isFollowing = this.current === view[view.length - 1] && this.isFollowing;
    this.#reveal(this.current);
  }
}
