// The filter box: has the emulator check the text while it is written, and marks what is wrong.

import { byId, make } from "./dom.js";
import { call } from "./stream.js";

const PAUSE_MILLISECONDS = 300;

export class FilterBox {
  /** @param apply called with a filter that the emulator takes. */
  constructor(apply) {
    this.apply = apply;
    this.box = byId("filter-box");
    this.field = byId("filter");
    this.marks = byId("filter-marks");
    this.error = byId("filter-error");
    this.clearButton = byId("filter-clear");
    this.applied = "";
    this.field.addEventListener("input", () => this.#written());
    this.field.addEventListener("keydown", (event) => this.#key(event));
    this.clearButton.addEventListener("click", () => this.set(""));
    this.error.addEventListener("click", () => this.#goToError());
    new ResizeObserver(() => this.#fit()).observe(this.box);
  }

  /** Put a filter in and apply it. */
  set(text) {
    this.field.value = text;
    this.#written();
    return this.submit();
  }

  /** Have the emulator check the text, and apply it if it is right. */
  async submit() {
    clearTimeout(this.timer);
    const text = this.field.value.toWellFormed?.() ?? this.field.value;
    let finding;
    try {
      finding = (await call("POST", "/emulator/filter", { filter: text })).error;
    } catch {
      return; // the connection is lost, which is shown
    }
    if (text !== this.field.value) return;
    this.show(finding);
    if (finding === null && text !== this.applied) {
      this.applied = text;
      this.apply(text);
    }
  }

  /** Show why the applied filter was given up; the same text may be tried again. */
  refused(finding) {
    this.applied = null;
    this.show(finding);
  }

  /** Show what is wrong at its place; null for nothing. */
  show(finding) {
    this.finding = finding;
    this.error.hidden = finding === null;
    this.box.toggleAttribute("data-wrong", finding !== null);
    this.field.setAttribute("aria-invalid", String(finding !== null));
    this.marks.replaceChildren();
    if (finding === null) return;
    this.error.textContent = `${finding.message} · line ${finding.line}, column ${finding.column}`;
    const [start, end] = this.#range();
    const text = this.field.value;
    this.marks.append(text.slice(0, start), make("mark", { textContent: text.slice(start, end) || " " }), text.slice(end));
  }

  #written() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.submit(), PAUSE_MILLISECONDS);
    this.marks.replaceChildren();
    this.clearButton.hidden = !this.field.value;
    this.#fit();
  }

  #key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "Escape" && this.field.value) {
      event.stopPropagation();
      this.set("");
    }
  }

  #goToError() {
    const [start, end] = this.#range();
    this.field.focus();
    this.field.setSelectionRange(start, end);
  }

  /** Return where the finding stands; the emulator counts characters, the field UTF-16 units. */
  #range() {
    const text = this.field.value;
    const start = [...text].slice(0, this.finding.position).join("").length;
    const word = /^(?:[\w.]+|\W)?/u.exec(text.slice(start));
    return [start, start + word[0].length];
  }

  #fit() {
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight}px`;
  }
}
