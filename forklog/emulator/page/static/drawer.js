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
    if (this.owner !== owner) this.owner?.closed();
    else this.scroll = this.body?.scrollTop;
    const isNew = this.owner !== owner;
    this.owner = owner;
    this.body = make("div", { className: "body" });
    const close = make("button", { type: "button", textContent: "Close", onclick: () => this.close() });
    this.element.replaceChildren(make("header", {},
      make("div", {}, make("h2", { textContent: title }), make("p", { textContent: subtitle })), close), this.body);
    this.element.hidden = false;
    this.element.setAttribute("aria-label", title);
    if (isNew) close.focus();
    return this.body;
  }

  close() {
    this.element.hidden = true;
    const { owner } = this;
    this.owner = null;
    owner?.closed();
  }
}
