/**
 * The colours of dex.css for what is drawn on a bitmap: a function from class names to a colour. Asked of the style
 * sheet once each; ask for a new one when the theme changes.
 */
export function inksOf(element) {
  const known = new Map();
  return (names) => {
    if (!known.has(names)) {
      const probe = document.createElement("i");
      probe.className = `ink ${names}`;
      element.append(probe);
      known.set(names, getComputedStyle(probe).color);
      probe.remove();
    }
    return known.get(names);
  };
}

/** Calls `changed` whenever the theme does; returns how to stop that. */
export function watchTheme(changed) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = new MutationObserver(changed);
  chosen.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  dark.addEventListener("change", changed);
  return () => {
    chosen.disconnect();
    dark.removeEventListener("change", changed);
  };
}
