// The emulator's faults: armed and cleared by buttons.

import { make } from "./dom.js";
import { plural } from "./format.js";
import { call } from "./stream.js";

const ON = ["any", "write", "list"];
const WHEN = ["before", "after"];
const FAULTS = [
  ["status", "Answer with an error", "The call is not handled.", { status: 503, count: 3, retry_after: "" }],
  ["delay", "Answer late", "The call is handled after the delay.", { seconds: 2, count: 3 }],
  ["drop", "Break the connection", "Before or after the entries are stored; after makes duplicates.", { when: WHEN, count: 1 }],
  ["hang", "Do not answer", "Until the faults are cleared.", { when: WHEN, count: 1, on: ON }],
  ["idle_close", "Close idle connections", "Right after each answer, unannounced.", { count: "" }],
  ["refuse", "Refuse one entry", "The answer names it; code 3 is invalid, 7 is not permitted.", { index: 0, code: 3, count: 1 }],
  ["quota", "Keep a quota", "Writes above the rate are answered with 429.", { per_second: 10, unit: ["requests", "bytes"] }],
  ["outage", "Be down", "Refuse and break all connections, this page's as well.", { seconds: 5 }],
];

export class FaultsPanel {
  constructor(drawer, button) {
    this.drawer = drawer;
    this.button = button;
    this.armed = [];
    button.addEventListener("click", () => (this.body ? drawer.close() : this.open()));
  }

  open() {
    this.body = this.drawer.open(this, "Faults", "They hit calls of the service; an outage hits this page's as well.");
    this.button.setAttribute("aria-expanded", "true");
    this.list = make("ul", { className: "armed" });
    this.clear = make("button", { type: "button", id: "clear-faults", textContent: "Clear all", onclick: () => this.#do("DELETE") });
    this.error = make("p", { className: "fault-error", role: "alert" });
    const kinds = FAULTS.map((fault) => this.#item(...fault));
    this.body.append(make("h4", { textContent: "Armed" }), this.list, this.clear, this.error,
      make("h4", { textContent: "Arm" }), make("ul", { className: "faults" }, ...kinds));
    this.show(this.armed);
  }

  closed() {
    this.body = undefined;
    this.button.setAttribute("aria-expanded", "false");
    this.button.focus();
  }

  show(armed) {
    this.armed = armed;
    this.button.textContent = armed.length ? `Faults: ${armed.length}` : "Faults";
    this.button.toggleAttribute("data-armed", armed.length > 0);
    if (!this.body) return;
    const items = armed.map((fault) => make("li", { textContent: sentence(fault) }));
    this.list.replaceChildren(...(items.length ? items : [make("p", { className: "note", textContent: "None. All calls are answered as they should be." })]));
    this.clear.hidden = !armed.length;
  }

  #item(kind, title, text, fields) {
    const inputs = Object.entries(fields).map(([name, value]) => [name, inputOf(name, value)]);
    const arm = () => this.#do("POST", { kind, ...Object.fromEntries(inputs.map(([name, input]) => [name, valueOf(input)])) });
    return make("li", { className: "fault", data: { kind } },
      make("h3", { textContent: title }), make("p", { textContent: text }),
      make("button", { type: "button", textContent: "Arm", "aria-label": `Arm: ${title}`, onclick: arm }),
      make("div", { className: "fields" }, ...inputs.map(([name, input]) => make("label", {}, name, input))));
  }

  async #do(method, body) {
    this.error.textContent = "";
    try {
      await call(method, "/emulator/faults", body);
      this.show((await call("GET", "/emulator/faults")).faults);
    } catch (error) {
      this.error.textContent = body?.kind === "outage" ? "" : error.message;
    }
  }
}

function inputOf(name, value) {
  if (Array.isArray(value)) return make("select", { name }, ...value.map((one) => make("option", { value: one, textContent: one })));
  const input = make("input", { name, value, type: "text", inputMode: "decimal" });
  if (value === "") input.placeholder = name === "count" ? "all" : "none";
  return input;
}

/** Return a number where one is written, null where nothing is; the emulator judges the rest. */
function valueOf(input) {
  const text = input.value.trim();
  if (!text) return null;
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}

function sentence({ kind, count, ...options }) {
  const shown = Object.entries(options).filter(([, value]) => value !== null && value !== "any")
    .map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`);
  return [kind, ...shown, count === null ? "until cleared" : plural(count, "call left", "calls left")].join(" · ");
}
