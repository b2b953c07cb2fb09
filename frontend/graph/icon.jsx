// The sprite's address carries the hash of its content, so the page has to say it.
const sprite = document.body.dataset.icons ?? new URL("icons.svg", import.meta.url).href;

export function Icon({ name }) {
  return (
    <svg className="icon" aria-hidden="true" focusable="false">
      <use href={`${sprite}#${name}`} />
    </svg>
  );
}
