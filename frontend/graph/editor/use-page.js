import { useEffect, useRef } from "react";

/** What the rest of the page says to the canvas, and is told by it: the events of the contract, all named dex:... */
export function usePage({ element, saved, hear }) {
  useEffect(() => {
    element.dispatchEvent(new CustomEvent("dex:canvas-changed", { bubbles: true, detail: saved }));
  }, [element, saved]);

  const latest = useRef(hear);
  latest.current = hear;
  useEffect(() => {
    const listening = [
      [document, "dex:flow-changed", (detail) => latest.current.changed(detail ?? {})],
      [document, "dex:focus-node", (detail) => latest.current.focus(Number(detail.id), detail.quiet)],
      [element, "dex:duplicate-node", (detail) => latest.current.duplicate(Number(detail.id))],
      [element, "dex:delete-node", (detail) => latest.current.remove(Number(detail.id))],
    ].map(([where, name, act]) => [where, name, (event) => act(event.detail)]);
    for (const [where, name, listen] of listening) where.addEventListener(name, listen);
    return () => {
      for (const [where, name, listen] of listening) where.removeEventListener(name, listen);
    };
  }, [element]);
}

/** Ask the page to open the form behind an address. */
export function openForm(element, url) {
  element.dispatchEvent(new CustomEvent("dex:open-node", { bubbles: true, detail: { url } }));
}
