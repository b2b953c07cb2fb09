// Shows a part of a form while a field has one of some values: data-when names the field, data-when-values the values
// ("on" for a ticked box).
const parts = [...document.querySelectorAll("[data-when]")];
const value = (field) => (field.type === "checkbox" ? (field.checked ? "on" : "") : field.value);

function show() {
  for (const part of parts) {
    const field = document.getElementById(`id_${part.dataset.when}`) ?? document.getElementById(part.dataset.when);
    if (field) part.hidden = !part.dataset.whenValues.split(" ").includes(value(field));
  }
}

document.addEventListener("change", show);
show();
