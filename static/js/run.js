// The page of a run: asks once a second whether something moved, and puts the parts that did in place of the old ones.
// A hidden page does not ask; one whose run is over asks no more. Every link works without this.
import { showTimes } from "./base.js";

const EVERY = 1000;
const WHOLE = 10; // of so many questions one is for the head whatever moved: what a run waits for is no move of it
const SLOWEST = 15000; // between two questions while the server does not answer

const page = document.getElementById("run-page");
if (page) watch();
for (const form of document.querySelectorAll("[data-rerun]")) startRerun(form);

async function watch() {
  startGraph();
  startFilters();
  let wait = EVERY;
  tick();
  setInterval(tick, EVERY);
  page.addEventListener("click", onClick);
  page.addEventListener("change", onChoose);
  for (let beat = 1; page.dataset.over !== "1"; beat++) {
    await new Promise((done) => setTimeout(done, wait));
    if (document.hidden) continue;
    wait = (await ask(beat % WHOLE === 0)) ? EVERY : Math.min(wait * 2, SLOWEST);
  }
}

async function ask(whole = false) {
  const panel = document.getElementById("task-panel");
  const rows = [...document.querySelectorAll("tr[id^=task-]")].map((row) => row.id.slice(5)).join("-");
  const tab = whole && page.dataset.tab === "graph" && !isUndrawn() ? "" : page.dataset.tab;
  const query = new URLSearchParams({ since: whole ? 0 : page.dataset.version, tab, task: panel?.dataset.task ?? "" });
  if (page.dataset.tab === "tasks") query.set("rows", rows);
  if (isUndrawn()) {
    query.set("undrawn", "1");
    for (const name of ["node", "near", "distance", "find", "all"]) {
      const value = new URL(location).searchParams.get(name);
      if (value !== null) query.set(name, value);
    }
  }
  if (page.dataset.tab === "timeline") query.set("sort", new URL(location).searchParams.get("sort") ?? "");
  try {
    const answer = await fetch(`${page.dataset.live}?${query}`, { headers: { Accept: "application/json", "HX-Request": "true" } });
    if (answer.status === 204) return true;
    if (answer.redirected || !answer.ok) return false;
    const { version, over, parts, states } = await answer.json();
    for (const [id, html] of Object.entries(parts)) replace(id, html);
    if (parts["run-graph"]) startGraph();
    if (Object.keys(states).length) document.dispatchEvent(new CustomEvent("dex:states", { detail: states }));
    if (!whole) page.dataset.version = version; // the rows that moved meanwhile come with the next answer
    if (over && !whole && page.dataset.over !== "1") {
      page.dataset.over = "1";
      document.title = document.title.replace(/ \w+ - dex$/, ` ${page.querySelector("h1 .badge")?.textContent.toLowerCase() ?? ""} - dex`);
      if (page.dataset.tab !== "graph" || isUndrawn()) location.reload(); // the buttons of each row, and the first failure
    }
    return true;
  } catch {
    return false;
  }
}

function replace(id, html) {
  const old = document.getElementById(id);
  if (!old) return;
  const made = document.createElement("template");
  made.innerHTML = html.trim();
  const fresh = made.content.firstElementChild;
  // What is open, and where the reader is, stays.
  const open = [...old.querySelectorAll("details")].map((box) => box.open);
  [...fresh.querySelectorAll("details")].forEach((box, place) => {
    if (place < open.length) box.open = open[place];
  });
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const again = focused && (focused.id ? `#${CSS.escape(focused.id)}` : focused.getAttribute("href") && `[href="${CSS.escape(focused.getAttribute("href"))}"]`);
  old.replaceWith(fresh);
  if (again) fresh.querySelector(again)?.focus({ preventScroll: true });
  showTimes(fresh);
  tick();
}

// How long what runs has been running.
function tick() {
  for (const place of document.querySelectorAll("[data-since]")) {
    const seconds = Math.max(0, Math.floor((Date.now() - new Date(place.dataset.since)) / 1000));
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
    place.textContent = hours ? `${hours} h ${minutes} m` : minutes ? `${minutes} m ${seconds % 60} s` : `${seconds} s`;
  }
}

// --- the panel of a task -----------------------------------------------------------------------------------
async function onClick(event) {
  const link = event.target.closest("[data-open-task], [data-close-panel]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  if (link.matches("[data-close-panel]")) {
    show("");
    history.replaceState(null, "", addressWith(""));
    return;
  }
  const answer = await fetch(link.dataset.openTask, { headers: { "HX-Request": "true" } });
  if (!answer.ok || answer.redirected) return location.assign(link.href);
  show(await answer.text());
  const panel = document.getElementById("task-panel");
  history.replaceState(null, "", addressWith(panel.dataset.task));
  panel.querySelector("h2").focus({ preventScroll: true });
  if (innerWidth < 1100) panel.scrollIntoView({ block: "start" });
}

function show(html) {
  const place = document.getElementById("task-panel-place");
  place.innerHTML = html;
  place.parentElement.classList.toggle("has-panel", Boolean(html));
  showTimes(place);
  tick();
}

function addressWith(task) {
  const address = new URL(location);
  address.searchParams.set("task", task);
  return address;
}

function onChoose(event) {
  const all = event.target.closest("[data-choose-all]");
  if (!all) return;
  for (const box of all.form.querySelectorAll("[name=key]")) box.checked = all.checked;
}

// --- the filters of the table --------------------------------------------------------------------------------
function startFilters() {
  let timer;
  page.addEventListener("input", ({ target }) => {
    const form = target.closest("form[data-filter]");
    if (!form) return;
    clearTimeout(timer);
    timer = setTimeout(() => filter(form), target.type === "search" ? 150 : 0);
  });
  page.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-filter]");
    if (!form) return;
    event.preventDefault();
    filter(form);
  });
}

async function filter(form) {
  const address = new URL(location);
  for (const [name, value] of new FormData(form)) address.searchParams.set(name, value);
  address.searchParams.delete("page");
  const answer = await fetch(address);
  if (!answer.ok || answer.redirected) return location.assign(address);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(form.dataset.filter);
  const [place, caret] = [document.activeElement?.name, document.activeElement?.selectionStart];
  document.getElementById(form.dataset.filter).replaceWith(fresh);
  history.replaceState(null, "", address);
  showTimes(fresh);
  tick();
  const again = place && fresh.querySelector(`form[data-filter] [name="${CSS.escape(place)}"]`);
  again?.focus();
  if (typeof caret === "number") again?.setSelectionRange?.(caret, caret);
}

// --- the graph ---------------------------------------------------------------------------------------------
// A page that was opened before the run had a plan has nothing to draw yet.
function isUndrawn() {
  return page.dataset.tab === "graph" && !document.getElementById("lineage");
}

async function startGraph() {
  const element = document.getElementById("lineage");
  if (!element) return;
  const { mountGraph } = await import("../vendor/graph.js");
  mountGraph(element);
}

// --- what a rerun would do ---------------------------------------------------------------------------------
function startRerun(form) {
  let asked = new AbortController();
  form.addEventListener("change", async (event) => {
    if (!["mode", "revision"].includes(event.target.name)) return;
    asked.abort();
    asked = new AbortController();
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (["mode", "revision", "key"].includes(name)) query.append(name, value);
    try {
      const answer = await fetch(`${form.getAttribute("action")}?${query}`, { headers: { "HX-Request": "true" }, signal: asked.signal });
      if (!answer.ok) return;
      const made = document.createElement("template");
      made.innerHTML = await answer.text();
      document.getElementById("foreseen").replaceWith(made.content.querySelector("#foreseen"));
      form.querySelector(".form-foot").replaceWith(made.content.querySelector(".form-foot"));
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  });
}
