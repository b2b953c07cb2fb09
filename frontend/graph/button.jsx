import { Icon } from "./icon.jsx";

/** A button that shows only its icon; the label is read out, and shown with the keys on hover. */
export function IconButton({ icon, label, keys, ...rest }) {
  return (
    <button
      type="button"
      className="icon-button"
      aria-label={label}
      title={keys ? `${label} (${keys})` : label}
      {...rest}
    >
      <Icon name={icon} />
    </button>
  );
}
