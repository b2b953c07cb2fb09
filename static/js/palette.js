// The search of the top bar: a dialog with a combobox, opened by its button or Ctrl+K.
const dialog = document.getElementById("palette");
const pause = 80; // milliseconds without a key before the server is asked

if (dialog) {
  const input = dialog.querySelector("[role=combobox]");
  const list = dialog.querySelector("[role=listbox]");
  const none = dialog.querySelector(".palette-none");
  const status = dialog.querySelector("[data-palette-status]");
  const known = new Map();
  const icons = document.body.dataset.icons;
  let options = [];
  let chosen = -1;
  let timer;
  let running;

  const open = () => {
    if (dialog.open) return;
    dialog.showModal();
    input.select();
    ask();
  };
  const close = () => dialog.close();
  dialog.addEventListener("close", () => known.clear());

  for (const button of document.querySelectorAll("[data-open-palette]")) button.addEventListener("click", open);
  dialog.querySelector("[data-close-palette]").addEventListener("click", close);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close();
  });
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (dialog.open) close();
      else open();
    }
  });
  if (/Mac|iPhone|iPad/.test(navigator.platform)) {
    for (const hint of document.querySelectorAll(".search-button .kbd")) hint.textContent = "\u2318 K";
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, pause);
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (options.length) choose((chosen + (event.key === "ArrowDown" ? 1 : -1) + options.length) % options.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (options[chosen]) follow(options[chosen], event.ctrlKey || event.metaKey);
    } else if (event.key === "Escape") {
      // A search field would be emptied by the first Escape.
      event.preventDefault();
      close();
    }
  });

  function follow(option, beside) {
    if (beside) window.open(option.href, "_blank", "noopener");
    else location.assign(option.href);
  }

  async function ask() {
    const asked = input.value.trim();
    running?.abort();
    if (known.has(asked)) return show(asked, known.get(asked));
    const request = (running = new AbortController());
    const slow = setTimeout(() => say("Searching"), 300);
    try {
      const answer = await fetch(`${dialog.dataset.search}?q=${encodeURIComponent(asked)}`, {
        signal: request.signal,
        headers: { Accept: "application/json" },
      });
      // The session is over: the login page leads back here.
      if (answer.redirected) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      const groups = (await answer.json()).groups;
      known.set(asked, groups);
      show(asked, groups);
    } catch (error) {
      if (error.name !== "AbortError") say("The search failed. Try again in a moment.");
    } finally {
      clearTimeout(slow);
    }
    return undefined;
  }

  function say(text) {
    list.replaceChildren();
    options = [];
    choose(-1);
    none.textContent = text;
    none.hidden = false;
    input.setAttribute("aria-expanded", "false");
  }

  function show(asked, groups) {
    if (asked !== input.value.trim()) return;
    if (!groups.length) {
      say(`No results for \u201c${asked}\u201d`);
      status.textContent = none.textContent;
      return;
    }
    none.hidden = true;
    options = [];
    const words = asked.toLowerCase().split(/\s+/).filter(Boolean);
    list.replaceChildren(...groups.map((group, number) => {
      const part = element("div", "palette-group");
      part.setAttribute("role", "group");
      part.setAttribute("aria-labelledby", `palette-group-${number}`);
      const title = element("div", "", group.title);
      title.id = `palette-group-${number}`;
      part.append(title, ...group.items.map((item) => optionOf(item, words)));
      return part;
    }));
    list.scrollTop = 0;
    input.setAttribute("aria-expanded", "true");
    choose(0);
    status.textContent = options.length === 1 ? "1 result" : `${options.length} results`;
  }

  function optionOf(item, words) {
    const option = element("a", "palette-option");
    const number = options.length;
    option.href = item.url;
    option.id = `palette-option-${number}`;
    option.tabIndex = -1;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    const name = element("span", "name");
    name.append(...marked(item.title, words));
    name.title = item.title;
    option.append(icon(item.icon), name, element("span", "note muted", item.note));
    option.addEventListener("pointermove", () => choose(number, false));
    options.push(option);
    return option;
  }

  function choose(number, scroll = true) {
    options[chosen]?.setAttribute("aria-selected", "false");
    chosen = number;
    const option = options[chosen];
    if (!option) return input.removeAttribute("aria-activedescendant");
    option.setAttribute("aria-selected", "true");
    input.setAttribute("aria-activedescendant", option.id);
    if (scroll) option.scrollIntoView({ block: "nearest" });
    return undefined;
  }

  function marked(text, words) {
    const lower = text.toLowerCase();
    const hits = new Array(text.length).fill(false);
    for (const word of words) {
      for (let at = lower.indexOf(word); at >= 0; at = lower.indexOf(word, at + word.length)) {
        hits.fill(true, at, at + word.length);
      }
    }
    const pieces = [];
    for (let start = 0; start < text.length;) {
      let end = start + 1;
      while (end < text.length && hits[end] === hits[start]) end += 1;
      pieces.push(hits[start] ? element("mark", "", text.slice(start, end)) : text.slice(start, end));
      start = end;
    }
    return pieces;
  }

  function icon(name) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS(space, "use");
    use.setAttribute("href", `${icons}#${name}`);
    svg.append(use);
    return svg;
  }

  function element(tag, classes, text) {
    const made = document.createElement(tag);
    if (classes) made.className = classes;
    if (text) made.textContent = text;
    return made;
  }
}
