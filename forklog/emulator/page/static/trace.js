// A trace: its request and the entries of it together, by time, along one line.

import { make } from "./dom.js";
import { SEVERITIES, duration, isSevere, logId, plural, seconds, severityName } from "./format.js";
import { fillJson } from "./row.js";
import { call } from "./stream.js";

const PAGE = 1000;
const MOST = 5 * PAGE;
const AGAIN_MILLISECONDS = 500;

export class TracePanel {
  constructor(drawer, list) {
    this.drawer = drawer;
    this.list = list;
    this.trace = "";
  }

  async open(trace) {
    this.trace = trace;
    await this.#load();
  }

  closed() {
    this.trace = "";
    this.shown = undefined;
    this.list.focus();
  }

  /** Load again, soon, if one of these rows belongs to the trace. */
  arrived(rows) {
    if (!this.trace || this.timer || !rows.some((row) => row.trace === this.trace)) return;
    this.timer = setTimeout(() => { this.timer = undefined; this.#load(); }, AGAIN_MILLISECONDS);
  }

  async #load() {
    const { trace } = this;
    if (!trace) return;
    try {
      const quoted = trace.replace(/[\\"]/g, "\\$&");
      const { entries, isCut } = await entriesOf(`trace="${quoted}"`);
      if (trace === this.trace) this.#show(entries.map(spanOf), isCut);
    } catch (error) {
      if (trace === this.trace) this.#open(error.message);
    }
  }

  /** Have the drawer show this trace; what it has of it stays as it is. */
  #open(subtitle) {
    if (this.shown === this.trace) { this.drawer.retitle(subtitle); return; }
    const body = this.drawer.open(this, `Trace ${this.trace.slice(this.trace.lastIndexOf("/") + 1)}`, subtitle);
    this.shown = this.trace;
    this.elements = new Map();
    this.note = make("p", { className: "note", hidden: true, textContent: "No entry of the request itself. The handler's option access_log=True writes one." });
    this.spans = make("ol", { className: "spans" });
    body.append(this.note, this.spans);
  }

  #show(spans, isCut) {
    const start = spans.reduce((least, span) => Math.min(least, span.start), Infinity);
    const end = spans.reduce((most, span) => Math.max(most, span.end), -Infinity);
    const length = Math.max(end - start, 0.001);
    const count = `${isCut ? "the first " : ""}${plural(spans.length, "entry", "entries")}`;
    this.#open(`${count}, ${duration(spans.length ? length : 0)}`);
    const parents = spans.filter((span) => span.isRequest);
    this.note.hidden = parents.length > 0;
    this.#place([...parents, ...spans.filter((span) => !span.isRequest)], start, length);
  }

  /** Put the spans in their order. No element that stays is moved, so it keeps the focus. */
  #place(spans, start, length) {
    const before = this.elements;
    this.elements = new Map();
    for (const span of spans) {
      const key = JSON.stringify([span.entry.logName, span.entry.timestamp, span.entry.insertId]);
      const shown = before.get(key) ?? new Span(span);
      before.delete(key);
      this.elements.set(key, shown);
      shown.place(span, start, length);
    }
    for (const gone of before.values()) gone.item.remove();
    let index = 0;
    for (const { item } of this.elements.values()) {
      if (this.spans.children[index] !== item) this.spans.insertBefore(item, this.spans.children[index] ?? null);
      index++;
    }
  }
}

/** Return the entries of a filter, oldest first, and whether there are more than the most of them. */
async function entriesOf(filter, found = [], token = "") {
  const body = { filter, pageSize: PAGE, ...(token && { pageToken: token }) };
  const { entries = [], nextPageToken } = await call("POST", "/emulator/entries:list", body);
  found.push(...entries);
  if (!nextPageToken || found.length >= MOST) return { entries: found, isCut: Boolean(nextPageToken) };
  return entriesOf(filter, found, nextPageToken);
}

function spanOf(entry) {
  const request = entry.httpRequest ?? {};
  const isRequest = Boolean(request.latency || request.status);
  const start = Date.parse(entry.timestamp) + microseconds(entry.timestamp);
  const payload = entry.jsonPayload;
  const text = entry.textPayload ?? payload?.message ?? (payload ? JSON.stringify(payload) : "");
  const level = entry.severity ?? 0;
  return {
    entry, isRequest, start, end: start + seconds(request.latency) * 1000,
    text: typeof text === "string" ? text : JSON.stringify(text),
    name: nameOf(level), isSevere: isSevere(SEVERITIES.indexOf(nameOf(level)) * 100), request,
  };
}

const nameOf = (level) => (SEVERITIES.includes(level) ? level : severityName(level));

/** Return the part of a millisecond that Date leaves out, in milliseconds. */
function microseconds(timestamp) {
  const fraction = /\.(\d+)/.exec(timestamp)?.[1] ?? "";
  return Number(`0.${fraction.padEnd(9, "0").slice(3)}`);
}

class Span {
  constructor(span) {
    const title = span.isRequest
      ? [make("b", { textContent: `${span.request.status ?? ""} ${span.request.requestMethod ?? ""}`.trim() }),
        ` ${span.request.requestUrl ?? ""} `, duration(span.end - span.start), span.text && `\n${span.text}`]
      : [span.text];
    this.bar = make("i");
    this.time = make("span", { className: "time" });
    this.item = make("li", { className: `span ${span.isRequest ? "parent" : "child"}`, data: { severity: span.name } });
    if (span.isSevere) this.item.dataset.severe = "";
    const json = make("pre", { className: "json", hidden: true });
    this.item.append(make("button", {
      type: "button", title: logId(span.entry.logName), "aria-expanded": "false",
      onclick: (event) => {
        json.hidden = !json.hidden;
        event.currentTarget.setAttribute("aria-expanded", String(!json.hidden));
        if (!json.hidden) fillJson(json, span.entry);
      },
    },
    this.time,
    make("span", { className: "severity", textContent: span.name }),
    make("span", { className: "message" }, ...title),
    make("span", { className: "lane" }, this.bar)), json);
  }

  /** Set where it stands in a trace, whose begin and length change as entries arrive. */
  place(span, start, length) {
    this.time.textContent = `+${duration(span.start - start)}`;
    this.bar.style.left = `${Math.min(99, ((span.start - start) / length) * 100)}%`;
    this.bar.style.width = `${((span.end - span.start) / length) * 100}%`;
  }
}
