// The panel beside the canvas: the form of a node, fetched and saved by htmx. What was typed is never thrown away
// without asking, and a form nobody typed into follows what happens on the canvas.
import { drop } from "./drafts.js";

const FIRST = "input:not([type=hidden], :disabled), select:not(:disabled), textarea:not(:disabled)";
const narrow = matchMedia("(max-width: 860px)");

export class Panel {
  #url = ""; // of the form shown; empty when closed
  #opener = null;
  #canvas = null; // the latest picture
  #seen = ""; // what of the picture the form shows
  #going = null; // what is done once the unsaved changes are dealt with

  constructor(element) {
    this.element = element;
    this.leaving = leavingDialog(() => this.#leave());
    element.addEventListener("click", (event) => event.target.closest("[data-close-panel]") && this.close());
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault(); // or this very key would close the dialog that may open now
      this.close();
    });
    // drafts.js looks a moment later whether the form is back at what it was; asking once too often is better than that.
    element.addEventListener("input", (event) => event.target.name && event.target.name !== "why" && this.#typed(event));
    element.addEventListener("htmx:beforeSwap", (event) => this.#arrived(event));
    element.addEventListener("htmx:responseError", (event) => this.#failed(event));
    element.addEventListener("htmx:sendError", () => this.#note("The server cannot be reached. Your changes are kept here. Try again."));
    narrow.addEventListener("change", () => this.#cover());
  }

  get form() {
    return this.element.querySelector("form[data-draft]");
  }

  open(url, opener = document.activeElement) {
    this.#unlessChanged(() => {
      if (!this.element.contains(opener)) this.#opener = opener;
      this.#load(url).then(() => (this.element.querySelector(FIRST) ?? this.element.querySelector("button"))?.focus());
    });
  }

  close() {
    this.#unlessChanged(() => this.#shut(true));
  }

  /** The flow is now this. */
  follow(canvas) {
    const wasThere = this.#isIn(this.#canvas);
    this.#canvas = canvas;
    if (!this.#url) return;
    const { form } = this;
    if (wasThere && !this.#isIn(canvas)) {
      this.#shut(this.element.contains(document.activeElement));
      return;
    }
    const shows = this.#shown();
    const isNewest = Number(form?.elements.version?.value) >= canvas.version;
    if (isNewest) this.#seen = shows;
    else if (shows !== this.#seen && form && !form.dataset.changed) this.#load(this.#url);
  }

  #isIn(canvas) {
    return Boolean(this.#url && canvas?.nodes.some((node) => sameAddress(node.url, this.#url)));
  }

  // What a form repeats of the picture: its name, what it does, what runs before it.
  #shown() {
    const node = this.#canvas?.nodes.find((each) => sameAddress(each.url, this.#url));
    if (!node) return "";
    const before = this.#canvas.links.filter((link) => link.down === node.id).map((link) => link.up);
    return JSON.stringify([node.name, node.detail, before]);
  }

  async #load(url) {
    this.#url = url;
    this.element.hidden = false;
    this.element.setAttribute("aria-busy", "true");
    this.#cover();
    await htmx.ajax("GET", url, { target: "#panel", swap: "innerHTML" });
    this.element.removeAttribute("aria-busy");
    this.#seen = this.#shown();
  }

  #shut(refocus) {
    this.#url = "";
    this.element.hidden = true;
    this.element.replaceChildren();
    const components = document.getElementById("components");
    if (components) components.hidden = true;
    this.#cover();
    if (!refocus) return;
    const back = this.#opener?.isConnected && this.#opener.checkVisibility() ? this.#opener : null;
    (back ?? document.querySelector("#canvas .canvas-box"))?.focus();
  }

  // On a small screen the panel covers the page, and what is below it cannot be reached.
  #cover() {
    const covered = narrow.matches && !this.element.hidden;
    for (const part of document.querySelectorAll(".editor-nodes, #canvas, .editor-views")) part.inert = covered;
  }

  #unlessChanged(act) {
    if (!this.form?.dataset.changed) {
      act();
      return;
    }
    this.#going = act;
    this.leaving.showModal();
  }

  #leave() {
    drop(this.form.dataset.draft);
    this.form.dataset.changed = "";
    this.#going?.();
  }

  #typed(event) {
    const form = event.target.closest("form[data-draft]");
    if (form) form.dataset.changed = "yes";
  }

  #arrived(event) {
    const { xhr } = event.detail;
    // A session that ended answers with the login page, which is no form of a node.
    if (new URL(xhr.responseURL || location.href).pathname.endsWith("/login/")) {
      event.detail.shouldSwap = false;
      this.#askForLogin();
    } else if (event.target === this.element && xhr.status === 200 && event.detail.requestConfig.verb === "post") {
      // The address of a new node is known only now.
      const made = new DOMParser().parseFromString(event.detail.serverResponse, "text/html").getElementById("node-form");
      this.#url = made?.getAttribute("action") ?? this.#url;
    }
  }

  #failed(event) {
    const { status } = event.detail.xhr;
    if (status === 403) this.#askForLogin("You do not have permission, or you logged in again.");
    else if (status === 404) this.#note("This node no longer exists; someone deleted it.");
    else this.#note(`The server reported an error (${status}). Your changes are kept here. Try again.`);
  }

  #askForLogin(why = "Your session ended.") {
    const again = document.createElement("button");
    again.type = "button";
    again.className = "button small";
    again.textContent = "I have logged in";
    again.addEventListener("click", async () => {
      if (await refreshTokens()) {
        note.remove();
        if (this.form) this.form.requestSubmit();
        else this.#load(this.#url);
      }
    });
    const note = this.#note(`${why} Log in again in another tab. Your changes are kept here.`, again);
  }

  #note(text, ...more) {
    this.element.querySelector(".panel-note")?.remove();
    const note = document.createElement("div");
    note.className = "notice warning panel-note";
    note.setAttribute("role", "alert");
    const words = document.createElement("div");
    const said = document.createElement("p");
    said.textContent = text;
    words.append(said, ...more);
    note.append(words);
    (this.element.querySelector(".panel-body") ?? this.element).prepend(note);
    note.scrollIntoView({ block: "nearest" });
    return note;
  }
}

function sameAddress(one, other) {
  return new URL(one, location.href).pathname === new URL(other, location.href).pathname;
}

// Who logs in again gets another token; every form of this page has to know it.
async function refreshTokens() {
  try {
    const answer = await fetch(location.href, { redirect: "manual" });
    if (!answer.ok) return false;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = page.getElementById("canvas").dataset.csrf;
    document.body.setAttribute("hx-headers", page.body.getAttribute("hx-headers"));
    document.getElementById("canvas").dataset.csrf = token;
    for (const field of document.querySelectorAll("[name=csrfmiddlewaretoken]")) field.value = token;
    return true;
  } catch {
    return false;
  }
}

function leavingDialog(leave) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "leaving-title");
  const header = document.createElement("header");
  const title = Object.assign(document.createElement("h2"), { id: "leaving-title", textContent: "Leave without saving?" });
  header.append(title);
  const body = Object.assign(document.createElement("div"), { className: "dialog-body" });
  body.append(Object.assign(document.createElement("p"), { textContent: "Your changes to this node are not saved yet." }));
  const footer = document.createElement("footer");
  const stay = Object.assign(document.createElement("button"), { type: "button", className: "button", textContent: "Keep editing" });
  const go = Object.assign(document.createElement("button"), { type: "button", className: "button danger", textContent: "Discard changes" });
  stay.addEventListener("click", () => dialog.close());
  go.addEventListener("click", () => {
    dialog.close();
    leave();
  });
  footer.append(stay, go);
  dialog.append(header, body, footer);
  document.body.append(dialog);
  return dialog;
}
