// A list of values as chips: Enter or a comma ends one, Backspace takes the last back, suggestions come while typing.
// The textarea stays the form's field, one value a line, so that nothing depends on this.
let counter = 0;

// In the field a line is a value. Typed, a comma ends one; within one it means AND, as in dbt (nodes/dbt/selectors/grammar.py).
function split(text, at) {
  return text
    .split(at)
    .map((value) => value.trim())
    .filter(Boolean);
}
const lines = (text) => split(text, /[\r\n]+/);
const ended = (text) => split(text, /[,\r\n]+/);
// A comma without blanks between two values: to dbt that is one selector, to a person perhaps a list.
const AMBIGUOUS = /[^\s,],[^\s,]/;

export class Chips {
  /** In: `selectors`, whether a comma can mean AND in these values, so that whoever pastes one is asked. */
  constructor(area, suggest, { selectors = false } = {}) {
    this.area = area;
    this.suggest = suggest;
    this.selectors = selectors;
    this.values = lines(area.value);
    this.told = new Map();
    this.options = [];
    this.active = -1;
    this.asked = new AbortController();
    this.id = `chips-${(counter += 1)}`;
    this.build();
    this.draw();
    // A draft or a reset changes the field behind our back.
    area.addEventListener("dex:set", () => {
      this.values = lines(area.value);
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
    this.question = document.createElement("div");
    this.question.className = "chip-question";
    this.question.setAttribute("role", "group");
    this.question.hidden = true;
    this.box.append(this.list, this.input, this.popup, this.question, this.said);
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
      const pasted = this.input.value + text;
      if (this.selectors && AMBIGUOUS.test(pasted)) this.askWhich(pasted);
      else this.add(ended(pasted));
    });
    // Who goes on without an answer loses nothing: what was pasted is taken as dbt would.
    this.box.addEventListener("focusout", (event) => {
      const values = this.unanswered;
      if (!values || this.box.contains(event.relatedTarget)) return;
      this.endQuestion();
      this.add(values);
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
        (this.selectors ? split(value, /[,&]/) : [value]).forEach((part, number) => {
          if (number) {
            const and = document.createElement("span");
            and.className = "chip-and";
            and.textContent = " and ";
            chip.append(and);
          }
          const text = document.createElement("span");
          text.className = "mono";
          text.textContent = part;
          chip.append(text);
        });
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
          count.title = `${said.count} on its own`;
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

  /** dbt's comma in what was pasted: one value that must fit both, or a list? Nothing is added before the answer. */
  askWhich(pasted) {
    const answer = (words, title, values) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button small";
      button.textContent = words;
      button.title = title;
      button.addEventListener("click", () => {
        this.endQuestion();
        this.input.focus();
        this.add(values);
      });
      return button;
    };
    const text = document.createElement("span");
    text.textContent = "What does the comma mean?";
    const both = lines(pasted).map((line) => line.replace(/\s*,\s*/g, ","));
    const shown = document.createElement("span");
    shown.className = "mono";
    shown.textContent = both.join(" ");
    this.question.replaceChildren(
      shown,
      text,
      answer("And, as in dbt", both.join("\n"), both),
      answer("Or: one value each", ended(pasted).join("\n"), ended(pasted)),
    );
    this.question.setAttribute("aria-label", text.textContent);
    this.question.hidden = false;
    this.unanswered = both;
    this.input.value = "";
    this.close();
    this.said.textContent = text.textContent;
    this.question.querySelector("button").focus();
    this.question.onkeydown = (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      this.endQuestion();
      this.input.value = both.join(" ").replaceAll(",", " & ");
      this.input.focus();
    };
  }

  endQuestion() {
    this.unanswered = null;
    this.question.hidden = true;
    this.question.replaceChildren();
  }

  add(values) {
    const fresh = values.filter((value) => !this.values.includes(value));
    this.values.push(...fresh);
    this.input.value = "";
    this.close();
    if (fresh.length) this.changed(`${fresh.join(", ")} added`);
  }

  take() {
    if (this.input.value.trim()) this.add(ended(this.input.value));
    else this.input.value = "";
  }

  typed() {
    if (this.input.value.includes(",")) {
      const values = ended(this.input.value);
      const rest = this.input.value.endsWith(",") ? "" : values.pop();
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
      this.input.value = value.replaceAll(",", " & "); // the same, in a field where a typed comma ends a value
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
