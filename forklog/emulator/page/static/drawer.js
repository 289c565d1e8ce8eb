// The drawer beside the list; one thing is open in it at a time.

import { byId, make } from "./dom.js";

export class Drawer {
  constructor() {
    this.element = byId("drawer");
    this.owner = null;
    this.element.addEventListener("keydown", (event) => { if (event.key === "Escape") this.close(); });
  }

  /** Open with a heading; return the element for the content. `owner` gets `closed()`. */
  open(owner, title, subtitle = "") {
    const isNew = this.owner !== owner;
    if (isNew) this.owner?.closed();
    this.owner = owner;
    this.body = make("div", { className: "body" });
    const close = make("button", { type: "button", textContent: "Close", onclick: () => this.close() });
    this.subtitle = make("p", { textContent: subtitle });
    this.element.replaceChildren(make("header", {},
      make("div", {}, make("h2", { textContent: title }), this.subtitle), close), this.body);
    this.element.hidden = false;
    this.element.setAttribute("aria-label", title);
    if (isNew) close.focus();
    return this.body;
  }

  /** Change the line below the heading; all else stays. */
  retitle(subtitle) {
    this.subtitle.textContent = subtitle;
  }

  close() {
    this.element.hidden = true;
    const { owner } = this;
    this.owner = null;
    owner?.closed();
  }
}
