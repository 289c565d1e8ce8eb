// A trace: its request and the entries of it together, by time, along one line.

import { make } from "./dom.js";
import { SEVERITIES, duration, isSevere, logId, plural, seconds, severityName } from "./format.js";
import { fillJson } from "./row.js";
import { call } from "./stream.js";

const PAGE = 1000;
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
    const quoted = trace.replace(/[\\"]/g, "\\$&");
    let entries = [];
    let failure = "";
    try {
      const body = { filter: `trace="${quoted}"`, pageSize: PAGE };
      entries = (await call("POST", "/emulator/entries:list", body)).entries ?? [];
    } catch (error) {
      failure = error.message;
    }
    if (trace !== this.trace) return;
    this.#show(entries.map(spanOf), failure);
  }

  #show(spans, failure) {
    const start = Math.min(...spans.map((span) => span.start));
    const end = Math.max(...spans.map((span) => span.end));
    const length = Math.max(end - start, 0.001);
    const subtitle = failure || `${plural(spans.length, "entry", "entries")}, ${duration(spans.length ? length : 0)}`;
    const body = this.drawer.open(this, `Trace ${this.trace.slice(this.trace.lastIndexOf("/") + 1)}`, subtitle);
    const parents = spans.filter((span) => span.isRequest);
    const children = spans.filter((span) => !span.isRequest);
    if (!parents.length && !failure) {
      body.append(make("p", { className: "note", textContent: "No entry of the request itself. The handler's option access_log=True writes one." }));
    }
    const elements = [...parents, ...children].map((span) => element(span, start, length));
    body.append(make("ol", { className: "spans" }, ...elements));
    if (this.drawer.scroll) body.scrollTop = this.drawer.scroll;
  }
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

function element(span, start, length) {
  const title = span.isRequest
    ? [make("b", { textContent: `${span.request.status ?? ""} ${span.request.requestMethod ?? ""}`.trim() }),
      ` ${span.request.requestUrl ?? ""} `, duration(span.end - span.start), span.text && `\n${span.text}`]
    : [span.text];
  const bar = make("i");
  bar.style.left = `${Math.min(99, ((span.start - start) / length) * 100)}%`;
  bar.style.width = `${((span.end - span.start) / length) * 100}%`;
  const item = make("li", { className: `span ${span.isRequest ? "parent" : "child"}`, data: { severity: span.name } });
  if (span.isSevere) item.dataset.severe = "";
  const json = make("pre", { className: "json", hidden: true });
  item.append(make("button", {
    type: "button", title: logId(span.entry.logName), "aria-expanded": "false",
    onclick: (event) => {
      json.hidden = !json.hidden;
      event.currentTarget.setAttribute("aria-expanded", String(!json.hidden));
      if (!json.hidden) fillJson(json, span.entry);
    },
  },
  make("span", { className: "time", textContent: `+${duration(span.start - start)}` }),
  make("span", { className: "severity", textContent: span.name }),
  make("span", { className: "message" }, ...title),
  make("span", { className: "lane" }, bar)), json);
  return item;
}
