// How times, severities, names and JSON are shown. Pure.

export const SEVERITIES = [
  "DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY",
];
const SEVERE = 600;

/** Return the name of a severity; a number between two names has that of the lower one. */
export function severityName(number) {
  const index = Math.floor(number / 100);
  return SEVERITIES[Math.max(0, Math.min(SEVERITIES.length - 1, index))];
}

export const isSevere = (number) => number >= SEVERE;

const two = (number) => (number < 10 ? `0${number}` : `${number}`);

export function clock(milliseconds, hasDay = false) {
  const date = new Date(milliseconds);
  const rest = String(Math.floor(milliseconds % 1000)).padStart(3, "0");
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${rest}`;
  return hasDay ? `${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}` : time;
}

export const clockOfDay = (milliseconds) => clock(milliseconds).slice(0, 8);

export const isToday = (milliseconds, now = Date.now()) =>
  new Date(milliseconds).toDateString() === new Date(now).toDateString();

export const number = (value) => value.toLocaleString("en-US");

export const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

/** Return the ID of a log without its parent, readable. */
export function logId(name) {
  const id = name.slice(name.indexOf("/logs/") + "/logs/".length);
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

/** Return the last part of a trace's name, shortened. */
export const shortTrace = (trace) => trace.slice(trace.lastIndexOf("/") + 1).slice(0, 8);

export const seconds = (latency) => Number.parseFloat(latency) || 0;

export function duration(milliseconds) {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(2)}\u00a0s`;
  const isRound = milliseconds >= 10 || milliseconds === 0;
  return `${isRound ? Math.round(milliseconds) : milliseconds.toFixed(1)}\u00a0ms`;
}

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/g;
const MAX_COLOURED = 60_000;

/** Yield pieces of indented JSON as [class, text]: k a key, s a string, n another value. */
export function* jsonPieces(value) {
  const text = JSON.stringify(value, null, 2);
  if (text.length > MAX_COLOURED) {
    yield ["", text];
    return;
  }
  let end = 0;
  for (const found of text.matchAll(TOKEN)) {
    if (found.index > end) yield ["", text.slice(end, found.index)];
    if (found[1] === undefined) yield ["n", found[3]];
    else if (found[2] === undefined) yield ["s", found[1]];
    else { yield ["k", found[1]]; yield ["", found[2]]; }
    end = found.index + found[0].length;
  }
  yield ["", text.slice(end)];
}
