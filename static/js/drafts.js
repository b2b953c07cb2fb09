// What was typed into a form and not saved yet survives: a lost session, the Back button, a crashed browser.
// Kept in this browser alone, by the name in data-draft, for a week. Nothing secret is ever typed into such a form.
const PREFIX = "dex-draft:";
const LIFE = 7 * 24 * 3600 * 1000;
let sent = null; // the draft of the form that was sent last on this page
const LEFT_OUT = new Set(["csrfmiddlewaretoken", "version", "why", "node"]);

function read(name) {
  try {
    const kept = JSON.parse(localStorage.getItem(PREFIX + name));
    return kept && Date.now() - kept.at < LIFE ? kept : null;
  } catch {
    return null;
  }
}

export function drop(name) {
  try {
    localStorage.removeItem(PREFIX + name);
  } catch {
    // Then there was none.
  }
}

function valuesOf(form) {
  return [...new FormData(form)].filter(([name, value]) => !LEFT_OUT.has(name) && typeof value === "string");
}

function fill(form, values) {
  const given = new Map();
  for (const [name, value] of values) given.set(name, [...(given.get(name) ?? []), value]);
  for (const name of ["arguments_key"]) {
    const rows = given.get(name)?.length ?? 0;
    while (form.querySelectorAll(`[name="${name}"]`).length < rows) form.querySelector("[data-add-argument]").click();
  }
  const places = new Map();
  for (const field of form.elements) {
    if (!field.name || LEFT_OUT.has(field.name) || field.type === "submit" || field.type === "button") continue;
    const said = given.get(field.name) ?? [];
    if (field.type === "checkbox" || field.type === "radio") field.checked = said.includes(field.value);
    else if (said.length) {
      const place = places.get(field.name) ?? 0;
      places.set(field.name, place + 1);
      if (place < said.length) field.value = said[place];
    }
    field.dispatchEvent(new CustomEvent("dex:set"));
  }
  form.dispatchEvent(new CustomEvent("dex:typed"));
  form.querySelector(".schedule input")?.dispatchEvent(new Event("input", { bubbles: true }));
}

export function keepDraft(form) {
  if (form.dataset.drafted) return;
  form.dataset.drafted = "yes";
  const name = form.dataset.draft;
  // What htmx brings after a Save is another form when a new node was saved: the draft was that of the form before.
  if (form.querySelector(".notice.success")) for (const over of [name, sent]) drop(over);
  // The other fields start a tick later, and may set defaults of their own.
  setTimeout(() => {
    const clean = JSON.stringify(valuesOf(form));
    const kept = read(name);
    // After a validation error the server has shown everything again; what it shows is newer than the draft.
    if (kept && !form.querySelector(".notice.error, .notice.warning[role=alert]") && JSON.stringify(kept.values) !== clean) {
      offer(form, name, kept, JSON.parse(clean));
    }
    let timer;
    const keep = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (!form.isConnected) return; // saved meanwhile
        const values = valuesOf(form);
        form.dataset.changed = JSON.stringify(values) === clean ? "" : "yes";
        if (!form.dataset.changed) return drop(name);
        try {
          localStorage.setItem(PREFIX + name, JSON.stringify({ at: Date.now(), values }));
        } catch {
          // Full or forbidden: the form still works.
        }
      }, 150);
    };
    form.addEventListener("input", keep);
    form.addEventListener("change", keep);
  });
  // A form that was sent is over; if the server refuses it, it comes back with everything in it. If the session was
  // lost, the login page comes instead, and the draft must stay: it goes when the answer is not the login.
  form.addEventListener("submit", () => {
    sent = name;
    try {
      sessionStorage.setItem(PREFIX + "sent", JSON.stringify({ name, from: location.pathname }));
    } catch {
      // Then the draft is offered once too often.
    }
  });
  form.addEventListener("click", (event) => {
    if (event.target.closest("[data-drop-draft]")) drop(name);
  });
}

function offer(form, name, kept, shown) {
  fill(form, kept.values);
  form.dataset.changed = "yes";
  const note = document.createElement("div");
  note.className = "notice info";
  note.setAttribute("role", "status");
  const text = document.createElement("div");
  text.append("dex restored your unsaved changes. ");
  const forget = document.createElement("button");
  forget.type = "button";
  forget.className = "button small";
  forget.textContent = "Discard them";
  forget.addEventListener("click", () => {
    drop(name);
    fill(form, shown);
    form.dataset.changed = "";
    note.remove();
  });
  text.append(forget);
  note.append(text);
  (form.querySelector(".panel-body") ?? form).prepend(note);
}

// The page after a form was sent: anything but the same form or the login means that it was taken.
try {
  const last = JSON.parse(sessionStorage.getItem(PREFIX + "sent"));
  const refused = document.querySelector(`form[data-draft="${CSS.escape(last?.name ?? "")}"] .errorlist, .notice.error`);
  const login = document.body.classList.contains("login") || location.pathname.includes("/login/");
  if (last && !login) {
    if (!refused && location.pathname !== last.from) drop(last.name);
    sessionStorage.removeItem(PREFIX + "sent");
  }
} catch {
  // No storage, no drafts.
}
