import { useEffect, useRef } from "react";
import { pressed } from "./keys.js";

/** Hands keys to `acts`: those pressed in the canvas, and those with Ctrl when nothing on the page has the focus. */
export function useKeys(box, acts) {
  const latest = useRef(acts);
  latest.current = acts;
  useEffect(() => {
    function listen(event) {
      const { target } = event;
      const inside = box.current.contains(target);
      if (event.defaultPrevented || (!inside && target !== document.body)) return;
      if (target.closest("dialog, input, select, textarea")) return;
      const isPress = event.key === "Enter" || event.key === " ";
      if (isPress && target.closest("a, button")) return;
      const node = target.closest(".react-flow__node")?.dataset.id;
      const edge = target.closest(".react-flow__edge")?.dataset.id;
      if (pressed(event, { node: node && Number(node), edge }, inside, latest.current)) event.preventDefault();
    }
    document.addEventListener("keydown", listen);
    return () => document.removeEventListener("keydown", listen);
  }, [box]);
}
