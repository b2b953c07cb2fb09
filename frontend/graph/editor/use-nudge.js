import { useCallback, useEffect, useRef } from "react";

const PAUSE = 500;

/**
 * Moving with the arrow keys: the cards move at once, and when the keys rest, all of it is saved as one step. `held` is
 * the set of nodes that moved and are not saved yet; `save` is a ref to what saves them.
 */
export function useNudge({ setNodes, now, save }) {
  const held = useRef(new Set());
  const timer = useRef(0);

  const flush = useCallback(() => {
    clearTimeout(timer.current);
    const moved = now().nodes.filter((node) => held.current.has(node.id));
    held.current.clear();
    if (moved.length) save.current(moved);
  }, [now, save]);

  const nudge = useCallback(
    (ids, x, y) => {
      for (const id of ids) held.current.add(id);
      setNodes((nodes) =>
        nodes.map((node) =>
          ids.includes(node.id) ? { ...node, position: { x: node.position.x + x, y: node.position.y + y } } : node,
        ),
      );
      clearTimeout(timer.current);
      timer.current = setTimeout(flush, PAUSE);
    },
    [setNodes, flush],
  );

  useEffect(() => {
    addEventListener("pagehide", flush);
    return () => removeEventListener("pagehide", flush);
  }, [flush]);

  return { held: held.current, nudge, flush };
}
