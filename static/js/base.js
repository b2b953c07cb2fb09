// What every page does, with templates/base.html: theme, menu on small screens, drop-downs, messages, times, copying, search.
import "./palette.js";

const root = document.documentElement;

// --- theme ---------------------------------------------------------------------------------------------
function chosenTheme() {
  try {
    return localStorage.getItem("dex-theme") ?? "system";
  } catch {
    return "system";
  }
}

function showTheme(theme) {
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === theme));
  }
}

showTheme(chosenTheme());
for (const button of document.querySelectorAll("[data-theme-choice]")) {
  button.addEventListener("click", () => {
    const theme = button.dataset.themeChoice;
    try {
      if (theme === "system") localStorage.removeItem("dex-theme");
      else localStorage.setItem("dex-theme", theme);
    } catch {
      // The choice then holds for this page.
    }
    showTheme(theme);
    closeMenu(button.closest("details.menu"), true);
  });
}
// Another tab of the same person changed it.
addEventListener("storage", (event) => {
  if (event.key === "dex-theme") showTheme(event.newValue ?? "system");
});

// --- the menu on small screens ---------------------------------------------------------------------------
const drawer = document.getElementById("menu");
const opener = document.querySelector(".menu-button");

function setDrawer(open) {
  root.classList.toggle("menu-open", open);
  opener.setAttribute("aria-expanded", String(open));
  const rest = document.querySelectorAll(".shell > :not(#menu, .scrim)");
  for (const part of rest) part.inert = open;
  if (open) drawer.querySelector("a")?.focus();
  else opener.focus();
}

if (opener) {
  opener.addEventListener("click", () => setDrawer(true));
  document.querySelector("[data-close-menu]").addEventListener("click", () => setDrawer(false));
  drawer.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && root.classList.contains("menu-open")) setDrawer(false);
  });
  matchMedia("(max-width: 860px)").addEventListener("change", (query) => {
    if (!query.matches && root.classList.contains("menu-open")) setDrawer(false);
  });
}

// --- drop-downs ------------------------------------------------------------------------------------------
function closeMenu(menu, refocus) {
  if (!menu?.open) return;
  menu.open = false;
  if (refocus) menu.querySelector("summary").focus();
}

function openMenus() {
  return document.querySelectorAll("details.menu[open]");
}

addEventListener("click", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) closeMenu(menu, false);
});
addEventListener("focusin", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) closeMenu(menu, false);
});
addEventListener("keydown", (event) => {
  const menu = document.activeElement?.closest("details.menu[open]");
  if (!menu) {
    if (event.key === "Escape") for (const other of openMenus()) closeMenu(other, true);
    return;
  }
  if (event.key === "Escape") {
    event.stopPropagation();
    closeMenu(menu, true);
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const items = [...menu.querySelectorAll("summary, a[href], button:not(:disabled)")];
    const step = event.key === "ArrowDown" ? 1 : -1;
    const next = items[(items.indexOf(document.activeElement) + step + items.length) % items.length];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  }
}, true);

// --- messages --------------------------------------------------------------------------------------------
addEventListener("click", (event) => {
  const message = event.target.closest("[data-dismiss]")?.closest("li, .notice");
  if (!message) return;
  const next = message.nextElementSibling ?? message.previousElementSibling;
  message.remove();
  (next?.querySelector("[data-dismiss]") ?? document.getElementById("content"))?.focus();
});

// --- times -----------------------------------------------------------------------------------------------
const dayAndTime = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const withYear = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
});
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

export function showTimes(part = document) {
  const year = new Date().getFullYear();
  for (const time of part.querySelectorAll("time.when:not([data-shown])")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    time.textContent = (moment.getFullYear() === year ? dayAndTime : withYear).format(moment);
    time.title = exact.format(moment);
    time.dataset.shown = "";
  }
}

// The server draws axes of time in the viewer's zone (runs/pages/calendar); it learns of the zone from this cookie.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (/^[A-Za-z0-9_+/-]+$/.test(zone ?? "") && !document.cookie.split("; ").includes(`dex-zone=${zone}`)) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `dex-zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
}

// --- copying ---------------------------------------------------------------------------------------------
// <button data-copy="text">, or data-copy-from="id of the element whose text it is".
addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const text = button.dataset.copy ?? document.getElementById(button.dataset.copyFrom)?.textContent ?? "";
  const label = button.dataset.label ?? button.getAttribute("aria-label") ?? "";
  button.dataset.label = label;
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    said = "Your browser does not allow copying here";
  }
  button.setAttribute("aria-label", said);
  const use = button.querySelector("use");
  const before = button.dataset.iconBefore ?? use?.getAttribute("href");
  if (use) {
    button.dataset.iconBefore = before;
    use.setAttribute("href", before.replace(/#.*/, said === "Copied" ? "#check" : "#x"));
  }
  clearTimeout(button.copyTimer);
  button.copyTimer = setTimeout(() => {
    button.setAttribute("aria-label", label);
    if (use) use.setAttribute("href", before);
  }, 1600);
});

// A name that is shown cut is copied whole.
addEventListener("copy", (event) => {
  const selection = getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return;
  const copied = selection.getRangeAt(0).cloneContents();
  const cut = copied.querySelectorAll("[data-whole]");
  if (!cut.length) return;
  for (const name of cut) name.textContent = name.dataset.whole;
  event.clipboardData.setData("text/plain", copied.textContent);
  event.preventDefault();
});

// --- what scrolls can be scrolled with the keyboard --------------------------------------------------------
function reachScrolling(part = document) {
  for (const wrap of part.querySelectorAll(".table-wrap, .readonly, .inline-group fieldset")) {
    if (wrap.querySelector("a, button, input, select")) continue;
    const scrolls = wrap.scrollWidth > wrap.clientWidth || wrap.scrollHeight > wrap.clientHeight;
    if (scrolls) wrap.tabIndex = 0;
    else wrap.removeAttribute("tabindex");
  }
}
addEventListener("resize", () => reachScrolling());

function look(part) {
  showTimes(part);
  reachScrolling(part);
}

look(document);
document.addEventListener("htmx:afterSettle", (event) => look(event.target.parentElement ?? document));
