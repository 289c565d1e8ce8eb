// The choosers of severity, log and process.

import { make } from "./dom.js";
import { SEVERITIES, logId, number } from "./format.js";

const ALWAYS = new Set(["DEBUG", "INFO", "WARNING", "ERROR"]);

export class Choosers {
  /** @param chosen called after a choice has changed in the model. */
  constructor({ severities, log, process }, model, chosen) {
    this.model = model;
    this.log = log;
    this.process = process;
    this.buttons = new Map(SEVERITIES.map((name) => [name, this.#button(name, chosen)]));
    severities.append(...this.buttons.values());
    for (const [select, field] of [[log, "log"], [process, "process"]]) {
      select.addEventListener("change", () => { model[field] = select.value; chosen(); });
    }
    this.update();
  }

  update() {
    const { severities, hidden, logs, processes } = this.model;
    for (const [name, button] of this.buttons) {
      const count = severities.get(name) ?? 0;
      button.hidden = !count && !ALWAYS.has(name) && !hidden.has(name);
      button.lastChild.textContent = number(count);
    }
    this.#fill(this.log, logs, "All logs", logNamer(logs));
    this.#fill(this.process, processes, "All processes", (name) => name);
  }

  #button(name, chosen) {
    const button = make("button", {
      type: "button", "aria-pressed": "true", data: { severity: name },
      title: `Show or hide ${name}; with Alt, show it alone`,
    }, make("b", { textContent: name }), make("span"));
    button.addEventListener("click", (event) => {
      const { hidden } = this.model;
      if (event.altKey) {
        SEVERITIES.forEach((other) => hidden.add(other));
        hidden.delete(name);
      } else if (!hidden.delete(name)) hidden.add(name);
      for (const [other, one] of this.buttons) one.setAttribute("aria-pressed", String(!hidden.has(other)));
      chosen();
    });
    return button;
  }

  /** Offer what there is; what is chosen stays, also while no entry has it. */
  #fill(select, counts, all, shown) {
    const chosen = select.value;
    const names = [...new Set([...counts.keys(), chosen])].filter(Boolean).toSorted();
    const wanted = names.map((name) => `${shown(name)} (${number(counts.get(name) ?? 0)})`);
    while (select.options.length > names.length + 1) select.lastChild.remove();
    while (select.options.length < names.length + 1) select.append(make("option"));
    [["", all], ...names.map((name, index) => [name, wanted[index]])].forEach(([value, text], index) => {
      const option = select.options[index];
      if (option.value !== value || !option.hasAttribute("value")) option.value = value;
      if (option.textContent !== text) option.textContent = text;
    });
    select.value = chosen;
    select.disabled = !names.length;
  }
}

/** Return what names a log: its ID, with its parent where there are several. */
function logNamer(logs) {
  const parents = new Set([...logs.keys()].map((name) => name.slice(0, name.indexOf("/logs/"))));
  return (name) => (parents.size > 1 ? `${name.slice(name.indexOf("/") + 1, name.indexOf("/logs/"))}: ${logId(name)}` : logId(name));
}
