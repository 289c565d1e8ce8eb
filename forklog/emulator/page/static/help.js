// What is shown where there is nothing to show, and the keys.

import { copyButton, make } from "./dom.js";

const KEYS = [
  ["/", "go to the filter"], ["Enter", "in the filter: apply it; in the list: expand the entry"],
  ["↑ ↓", "move to the entry before or after"], ["PgUp PgDn", "move by a page"],
  ["Home", "the oldest entry"], ["End", "the newest entry, and follow"],
  ["← →", "fold or expand the entry"], ["t", "show the trace of the entry"],
  ["Esc", "close the drawer, or clear the filter"], ["?", "show these keys"],
];

export class KeysPanel {
  constructor(drawer, button) {
    this.drawer = drawer;
    this.button = button;
    button.addEventListener("click", () => this.toggle());
  }

  toggle() {
    if (this.isOpen) { this.drawer.close(); return; }
    this.isOpen = true;
    this.button.setAttribute("aria-expanded", "true");
    const body = this.drawer.open(this, "Keys");
    body.append(make("dl", { className: "keys" }, ...KEYS.flatMap(([key, text]) => [
      make("dt", {}, ...key.split(" ").map((one) => make("kbd", { textContent: one }))),
      make("dd", { textContent: text })])));
    body.append(make("h4", { textContent: "Filter" }),
      make("p", { className: "note", textContent: "The Logging query language, as in the console of Google Cloud." }),
      code('severity>=WARNING AND logName:"shop"\ntextPayload=~"time.?out" OR httpRequest.status>=500'),
      make("h4", { textContent: "The emulator's calls" }),
      make("p", { className: "note" }, make("a", { href: "/emulator/help", textContent: "All calls and faults, as text" })));
  }

  closed() {
    this.isOpen = false;
    this.button.setAttribute("aria-expanded", "false");
    this.button.focus();
  }
}

/** Fill the place of an empty list; null hides it. */
export function showEmpty(element, kind, actions) {
  element.hidden = kind === null;
  if (kind === null || element.dataset.kind === kind) { element.dataset.kind = kind ?? ""; return; }
  element.dataset.kind = kind;
  element.replaceChildren(kind === "first" ? first() : filtered(actions));
}

function first() {
  return make("div", {},
    make("h2", { textContent: "No entries yet" }),
    make("p", { textContent: "This is a local Cloud Logging. Send it a record, and it appears here:" }),
    code(`export LOGGING_EMULATOR_HOST=${location.host}\npython3 -c 'import logging, forklog; forklog.setup(); logging.warning("hello")'`),
    make("p", { textContent: "Any program of yours that uses forklog needs the variable alone. Google's own client needs:" }),
    code(`Client(project="p", credentials=AnonymousCredentials(), _use_grpc=False,\n       client_options={"api_endpoint": "${location.origin}"})`));
}

function filtered(actions) {
  return make("div", {},
    make("h2", { textContent: "No entry matches" }),
    make("p", { textContent: "Entries are there, or may come; the filter or a chooser hides them." }),
    make("button", { type: "button", textContent: "Show all entries", onclick: actions.showAll }));
}

function code(text) {
  return make("div", { className: "code" }, make("pre", { textContent: text, tabIndex: 0 }), copyButton(() => text));
}
