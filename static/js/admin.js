// On the admin's own pages: times as everywhere else, in the viewer's zone; a refused form opens at its first mistake.
import { showTimes } from "./base.js";

const stamp = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d(?::\d\d)?) UTC$/;
for (const cell of document.querySelectorAll("#result_list :is(td, th), .readonly, .readonly td, .inline-group td p")) {
  const place = cell.children.length === 1 && cell.firstElementChild.matches("a") ? cell.firstElementChild : cell;
  if (place.children.length) continue;
  const found = stamp.exec(place.textContent.trim());
  if (!found) continue;
  const time = document.createElement("time");
  time.className = "when";
  time.dateTime = `${found[1]}T${found[2]}Z`;
  time.textContent = place.textContent.trim();
  place.replaceChildren(time);
}
showTimes();

// After "load", because the admin's own script puts the focus into the first field.
addEventListener("load", () => {
  document.querySelector(".form-row.errors :is(input:not([type=hidden]), select, textarea)")?.focus();
});

// Fieldsets of class "when-FIELD-VALUE" are shown while the field has the value.
for (const part of document.querySelectorAll("fieldset[class*=when-]")) {
  const [, name, value] = /when-(\w+)-(\w+)/.exec(part.className);
  const field = document.getElementById(`id_${name}`);
  const show = () => { part.hidden = field.value !== value; };
  field?.addEventListener("change", show);
  if (field) show();
}

// A field of "data-shown-when" is shown while the fields that it names have one of these values: "a=x|y b=z".
for (const input of document.querySelectorAll("[data-shown-when]")) {
  const row = input.closest(".form-row");
  const rules = input.dataset.shownWhen.split(" ").map((rule) => rule.split("="));
  const fields = rules.map(([name]) => document.getElementById(`id_${name}`));
  const show = () => { row.hidden = !rules.every(([, values], n) => values.split("|").includes(fields[n]?.value)); };
  for (const field of fields) field?.addEventListener("change", show);
  show();
}
