// The stream of what arrives: connects, connects again, and hands its events on.

const RETRY_MILLISECONDS = 1000;
const EVENTS = ["hello", "rows", "copies", "state"];

export class Stream {
  /** @param {Record<string, (value: any) => void>} handlers one for each event, and "lost". */
  constructor(handlers) {
    this.handlers = handlers;
    this.filter = "";
  }

  /** Read from the beginning, through a filter. */
  open(filter) {
    this.filter = filter;
    this.#close();
    this.source = new EventSource(`/emulator/live?filter=${encodeURIComponent(filter)}`);
    for (const name of EVENTS) {
      this.source.addEventListener(name, (event) => this.handlers[name](JSON.parse(event.data)));
    }
    this.source.addEventListener("refused", (event) => {
      this.#close();
      this.handlers.refused(JSON.parse(event.data));
    });
    this.source.addEventListener("error", () => {
      this.#close();
      this.handlers.lost();
      this.timer = setTimeout(() => this.open(this.filter), RETRY_MILLISECONDS);
    });
  }

  #close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = undefined;
  }
}

/** Make a call of the emulator; return its JSON, or throw an Error with its message. */
export async function call(method, path, body) {
  const request = { method };
  if (body !== undefined) {
    request.headers = { "Content-Type": "application/json" };
    request.body = JSON.stringify(body);
  }
  const response = await fetch(path, request);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error.message);
  return answer;
}
