// A list of values as chips: Enter or a comma ends one, Backspace takes the last back, suggestions come while typing.
// The textarea stays the form's field, one value a line, so that nothing depends on this.
let counter = 0;

// As nodes/selectors/grammar.py has it: a comma or a line break ends a value, always.
export function splitValues(text) {
  return text
    .split(/[,\r\n]+/)
    .map((value) => value.trim())
    .filter(Boolean);
}

export class Chips {
  constructor(area, suggest) {
    this.area = area;
    this.suggest = suggest;
    this.values = splitValues(area.value);
    this.told = new Map();
    this.options = [];
    this.active = -1;
    this.asked = new AbortController();
    this.id = `chips-${(counter += 1)}`;
    this.build();
    this.draw();
    // A draft or a reset changes the field behind our back.
    area.addEventListener("dex:set", () => {
      this.values = splitValues(area.value);
      this.draw();
    });
  }

  build() {
    const label = document.querySelector(`label[for="${this.area.id}"]`);
    this.box = document.createElement("div");
    this.box.className = "chips";
    this.list = document.createElement("ul");
    this.list.className = "chip-list";
    this.input = document.createElement("input");
    this.input.id = `${this.id}-input`;
    this.input.autocomplete = "off";
    this.input.spellcheck = false;
    this.input.setAttribute("role", "combobox");
    this.input.setAttribute("aria-autocomplete", "list");
    this.input.setAttribute("aria-expanded", "false");
    this.input.setAttribute("aria-controls", `${this.id}-options`);
    const described = this.area.getAttribute("aria-describedby");
    if (described) this.input.setAttribute("aria-describedby", described);
    if (this.area.getAttribute("aria-invalid")) this.input.setAttribute("aria-invalid", "true");
    this.popup = document.createElement("ul");
    this.popup.id = `${this.id}-options`;
    this.popup.className = "chip-options";
    this.popup.setAttribute("role", "listbox");
    this.popup.setAttribute("aria-label", "Suggestions");
    this.popup.hidden = true;
    this.said = document.createElement("span");
    this.said.className = "visually-hidden";
    this.said.setAttribute("role", "status");
    this.box.append(this.list, this.input, this.popup, this.said);
    this.area.hidden = true;
    this.area.after(this.box);
    if (label) {
      label.htmlFor = this.input.id;
      this.list.setAttribute("aria-label", `Values to ${label.firstChild.textContent.trim().toLowerCase()}`);
    }
    this.box.addEventListener("click", (event) => {
      if (event.target === this.box || event.target === this.list) this.input.focus();
    });
    this.input.addEventListener("input", () => this.typed());
    this.input.addEventListener("keydown", (event) => this.pressed(event));
    this.input.addEventListener("focus", () => this.ask());
    this.input.addEventListener("blur", () => {
      this.close();
      this.take();
    });
    this.input.addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text");
      if (!/[,\n]/.test(text)) return;
      event.preventDefault();
      this.add(splitValues(this.input.value + text));
    });
    this.popup.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const option = event.target.closest("[role=option]");
      if (option) this.choose(Number(option.dataset.number));
    });
  }

  draw() {
    this.list.replaceChildren(
      ...this.values.map((value, place) => {
        const chip = document.createElement("li");
        chip.className = "chip";
        const said = this.told.get(value);
        const text = document.createElement("span");
        text.className = "mono";
        text.textContent = value;
        chip.append(text);
        if (said?.error || said?.warning) {
          chip.classList.add(said.error ? "has-error" : "has-warning");
          chip.title = said.error || said.warning;
          const more = document.createElement("span");
          more.className = "visually-hidden";
          more.textContent = ` (${said.error || said.warning})`;
          chip.append(more);
        }
        if (said?.count) {
          const count = document.createElement("span");
          count.className = "count";
          count.textContent = said.count;
          count.title = `${said.count} by itself`;
          chip.append(count);
        }
        const remove = document.createElement("button");
        remove.type = "button";
        remove.textContent = "×";
        remove.setAttribute("aria-label", `Remove ${value}`);
        remove.addEventListener("click", () => {
          this.values.splice(place, 1);
          this.changed(`${value} removed`);
          this.input.focus();
        });
        chip.append(remove);
        return chip;
      }),
    );
    this.list.hidden = !this.values.length;
    this.input.placeholder = this.values.length ? "" : this.area.name === "include" ? "All models" : "";
  }

  /** What the preview says of each value: value -> {count, warning, error}. */
  tell(told) {
    this.told = told;
    this.draw();
  }

  changed(said) {
    this.area.value = this.values.join("\n");
    this.draw();
    this.said.textContent = said;
    this.area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  add(values) {
    const fresh = values.filter((value) => !this.values.includes(value));
    this.values.push(...fresh);
    this.input.value = "";
    this.close();
    if (fresh.length) this.changed(`${fresh.join(", ")} added`);
  }

  take() {
    if (this.input.value.trim()) this.add(splitValues(this.input.value));
    else this.input.value = "";
  }

  typed() {
    if (this.input.value.includes(",")) {
      const ended = this.input.value.endsWith(",");
      const values = splitValues(this.input.value);
      const rest = ended ? "" : values.pop();
      this.add(values);
      this.input.value = rest ?? "";
    }
    this.ask();
  }

  pressed(event) {
    if (event.key === "Enter") {
      if (this.active >= 0) {
        event.preventDefault();
        this.choose(this.active);
      } else if (this.input.value.trim()) {
        event.preventDefault();
        this.take();
      }
    } else if (event.key === "Backspace" && !this.input.value && this.values.length) {
      event.preventDefault();
      const value = this.values.pop();
      this.input.value = value;
      this.changed(`${value} can be edited`);
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && this.options.length) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      const count = this.options.length;
      this.mark((this.active + step + count + (this.active < 0 && step < 0 ? 1 : 0)) % count);
    } else if (event.key === "Escape" && !this.popup.hidden) {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    }
  }

  async ask() {
    const typed = this.input.value.trim();
    this.asked.abort();
    if (!typed) {
      this.close();
      return;
    }
    this.asked = new AbortController();
    try {
      const found = await this.suggest(typed, this.asked.signal);
      if (document.activeElement !== this.input || this.input.value.trim() !== typed) return;
      this.open(found.filter((option) => !this.values.includes(option.value)));
    } catch (error) {
      if (error.name !== "AbortError") this.close();
    }
  }

  open(options) {
    this.options = options;
    this.popup.replaceChildren(
      ...options.map(({ value, kind }, number) => {
        const option = document.createElement("li");
        option.id = `${this.id}-option-${number}`;
        option.setAttribute("role", "option");
        option.setAttribute("aria-selected", "false");
        option.dataset.number = number;
        const name = document.createElement("span");
        name.className = "mono";
        name.textContent = value;
        const what = document.createElement("span");
        what.className = "muted";
        what.textContent = kind;
        option.append(name, what);
        return option;
      }),
    );
    this.popup.hidden = !options.length;
    this.input.setAttribute("aria-expanded", String(!this.popup.hidden));
    this.mark(-1);
  }

  mark(number) {
    this.active = number;
    [...this.popup.children].forEach((option, place) => option.setAttribute("aria-selected", String(place === number)));
    const option = this.popup.children[number];
    if (option) {
      this.input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  choose(number) {
    const option = this.options[number];
    if (option) this.add([option.value]);
  }

  close() {
    this.asked.abort();
    this.options = [];
    this.popup.hidden = true;
    this.popup.replaceChildren();
    this.input.setAttribute("aria-expanded", "false");
    this.mark(-1);
  }
}
