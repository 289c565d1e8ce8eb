// One row of the list: its line, and its detail where it is expanded.

import { copyButton, make } from "./dom.js";
import { clock, duration, jsonPieces, logId, plural, seconds, shortTrace } from "./format.js";
import { call } from "./stream.js";

export function lineOf(row, { toggle, trace }, hasDays) {
  return make("div", { className: "line", onclick: toggle },
    make("span", { className: "time", title: new Date(row.time).toISOString(), textContent: clock(row.time, hasDays) }),
    make("span", { className: "severity", textContent: row.name }),
    make("span", { className: "source", title: `${row.log}\n${row.process}`.trim() },
      logId(row.log), make("span", { className: "process", textContent: row.process && ` ${row.process}` })),
    make("span", { className: "message" }, ...messageOf(row)),
    make("span", { className: "badges" }, ...badges(row, trace)));
}

/** Return the elements of a message: what a request was, and the text. */
export function messageOf(row) {
  if (!row.request) return [row.text];
  const [method, url, status, latency] = row.request;
  const parts = [make("b", { textContent: status ? `${status} ${method}` : method }), ` ${url}`];
  if (latency) parts.push(` ${duration(seconds(latency) * 1000)}`);
  return [make("span", { className: "request" }, ...parts), row.text];
}

function badges(row, trace) {
  const found = [];
  if (row.copies > 1) {
    const title = `stored ${row.copies} times: log, timestamp and insertId are equal`;
    found.push(make("span", { className: "copies", title, textContent: `×${row.copies}` }));
  }
  if (row.trace) {
    found.push(make("button", {
      type: "button", tabIndex: -1, className: "trace", title: `Show the trace ${row.trace}`,
      textContent: shortTrace(row.trace),
      onclick: (event) => { event.stopPropagation(); trace(); },
    }));
  }
  return found;
}

/** Return the detail of a row, which fetches the entry. */
export function detailOf(row, actions) {
  const json = make("pre", { className: "json", tabIndex: 0, textContent: "Loading…" });
  let text = "";
  const bar = make("div", { className: "detail-bar" }, copyButton(() => text));
  if (row.trace) {
    bar.append(make("button", { type: "button", textContent: "Show trace", onclick: () => actions.trace(row) }));
  }
  if (row.copies > 1) bar.append(make("span", { textContent: `stored ${plural(row.copies, "time", "times")}` }));
  if (row.process) bar.append(make("span", { textContent: `process ${row.process}` }));
  call("GET", `/emulator/entries/${row.position}`).then((entry) => {
    text = JSON.stringify(entry, null, 2);
    fillJson(json, entry);
  }, (error) => { json.textContent = error.message; });
  return make("div", { className: "detail" }, bar, json);
}

export function fillJson(element, value) {
  element.replaceChildren(...Array.from(jsonPieces(value), ([kind, text]) =>
    (kind ? make("span", { className: kind, textContent: text }) : document.createTextNode(text))));
}
