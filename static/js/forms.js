// What the forms of flows and nodes do beyond a plain form: chips, parameters, the schedule, drafts, boxes of a list.
// Every form works without it; it starts again for parts that htmx brings.
import { Chips } from "./chips.js";
import { showTimes } from "./base.js";
import { keepDraft } from "./drafts.js";

function start(part) {
  for (const form of part.querySelectorAll("form[data-draft]")) keepDraft(form);
  for (const box of part.querySelectorAll("[data-chips]")) startChips(box);
  for (const list of part.querySelectorAll("[data-arguments]")) startArguments(list);
  for (const form of part.querySelectorAll("form[data-schedule]")) startSchedule(form);
  for (const form of part.querySelectorAll("form[data-suggest]")) startNode(form);
  for (const bar of part.querySelectorAll("[data-bulk]")) startBulk(bar);
}

// --- chips -----------------------------------------------------------------------------------------------
function startChips(box) {
  const area = box.querySelector("textarea");
  if (!area || box.dataset.started || area.disabled) return;
  box.dataset.started = "yes";
  const form = area.form;
  const address = form.dataset.suggest;
  const suggest = async (typed, signal) => {
    const query = new URLSearchParams({ q: typed });
    if (box.dataset.chips === "tables") query.set("connection", form.elements.connection?.value ?? "");
    const answer = await fetch(`${address}?${query}`, { signal, headers: { "HX-Request": "true" } });
    return answer.ok ? (await answer.json()).suggestions : [];
  };
  box.chips = new Chips(area, suggest, { selectors: box.dataset.chips === "selectors" });
}

// --- a node's form ---------------------------------------------------------------------------------------
function startNode(form) {
  if (form.dataset.started) return;
  form.dataset.started = "yes";
  const typed = () => form.dispatchEvent(new CustomEvent("dex:typed"));
  form.addEventListener("input", typed);
  form.addEventListener("change", typed);
  // A question is asked with Enter; the form that it stands in is not sent by it.
  form.elements.why?.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    typed();
  });
  form.addEventListener("htmx:afterSwap", () => {
    // The answer stands above its question and has pushed it down.
    if (document.activeElement === form.elements.why) form.elements.why.scrollIntoView({ block: "nearest" });
    const counts = form.querySelector("[data-chip-counts]");
    if (!counts) return;
    for (const [name, side] of [["include", "include"], ["exclude", "exclude"]]) {
      const chips = form.elements[name]?.closest("[data-chips]")?.chips;
      const said = [...counts.children].filter((item) => item.dataset.side === side || item.dataset.side === "");
      chips?.tell(new Map(said.map((item) => [item.dataset.value, item.dataset])));
    }
  });
  for (const about of form.querySelectorAll("[data-about]")) {
    const choice = form.elements[about.dataset.about];
    choice?.addEventListener("change", () => { about.hidden = about.dataset.aboutValue !== choice.value; });
  }
}

// --- the parameters of a script --------------------------------------------------------------------------
function startArguments(list) {
  if (list.dataset.started) return;
  list.dataset.started = "yes";
  const blank = list.lastElementChild.cloneNode(true);
  const add = list.parentElement.querySelector("[data-add-argument]");
  const form = list.closest("form");
  const number = () => {
    [...list.children].forEach((row, place) => {
      row.querySelector(".argument-number").textContent = `argv[${place + 1}]`;
      row.querySelector("[name$=_key]").setAttribute("aria-label", `Key of parameter ${place + 1}`);
      row.querySelector("[name$=_value]").setAttribute("aria-label", `Value of parameter ${place + 1}`);
      row.querySelector("[data-argument-up]").disabled = place === 0;
    });
  };
  const changed = () => {
    number();
    form.dispatchEvent(new Event("input", { bubbles: true }));
  };
  add.hidden = false;
  add.addEventListener("click", () => {
    list.append(blank.cloneNode(true));
    changed();
    list.lastElementChild.querySelector("input").focus();
  });
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".argument-row");
    if (event.target.closest("[data-argument-remove]")) {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      if (list.children.length === 1) list.append(blank.cloneNode(true));
      row.remove();
      changed();
      (next ?? list.lastElementChild).querySelector("input").focus();
    } else if (event.target.closest("[data-argument-up]") && row.previousElementSibling) {
      row.previousElementSibling.before(row);
      changed();
      row.querySelector("[data-argument-up]:not(:disabled), input").focus();
    }
  });
  number();
}

// --- the schedule ----------------------------------------------------------------------------------------
function startSchedule(form) {
  if (form.dataset.started) return;
  form.dataset.started = "yes";
  const part = form.querySelector(".schedule");
  const preview = form.querySelector("#schedule-preview");
  const { write_cron: cronSwitch, frequency, cron, time_zone: zone } = form.elements;
  if (!form.dataset.draft.startsWith("settings-") && (!zone.value || zone.value === "UTC") && !form.querySelector(".has-error")) {
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if ([...document.querySelectorAll("#zones option")].some((option) => option.value === own)) zone.value = own;
  }
  let timer;
  let asked = new AbortController();
  const show = () => {
    part.dataset.mode = cronSwitch.checked ? "cron" : "basic";
    part.dataset.frequency = frequency.value;
  };
  const ask = async () => {
    asked.abort();
    asked = new AbortController();
    const query = new URLSearchParams(new FormData(form));
    for (const name of ["csrfmiddlewaretoken", "description", "parameters", "name"]) query.delete(name);
    try {
      const answer = await fetch(`${form.dataset.schedule}?${query}`, { signal: asked.signal, headers: { "HX-Request": "true" } });
      if (!answer.ok) return;
      preview.innerHTML = await answer.text();
      showTimes(preview);
      // What the server had said about the schedule at the last Save is out of date as soon as it changes.
      for (const old of part.querySelectorAll(".field > .errorlist")) old.remove();
      for (const field of part.querySelectorAll(".field.has-error")) field.classList.remove("has-error");
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  };
  part.addEventListener("input", (event) => {
    if (event.target === cronSwitch && cronSwitch.checked && !cron.value) {
      cron.value = preview.querySelector("[data-cron]")?.dataset.cron ?? "";
    }
    show();
    clearTimeout(timer);
    timer = setTimeout(ask, 120);
  });
  show();
  if (!form.querySelector(".has-error")) ask();
}

// --- the boxes of a list ---------------------------------------------------------------------------------
function startBulk(bar) {
  if (bar.dataset.started) return;
  bar.dataset.started = "yes";
  const boxes = () => [...document.querySelectorAll(`input[type=checkbox][form="${bar.dataset.bulk}"]`)];
  const all = document.querySelector("[data-choose-all]");
  const tell = () => {
    const chosen = boxes().filter((box) => box.checked).length;
    bar.querySelector("[data-chosen]").textContent = chosen ? `${chosen} selected` : "None selected";
    for (const button of bar.querySelectorAll("button")) button.disabled = !chosen;
    if (all) {
      all.checked = chosen > 0 && chosen === boxes().length;
      all.indeterminate = chosen > 0 && !all.checked;
    }
  };
  all?.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    tell();
  });
  bar.parentElement.addEventListener("change", tell);
  tell();
}

start(document);
document.addEventListener("htmx:load", (event) => start(event.detail.elt.parentElement ?? document));
