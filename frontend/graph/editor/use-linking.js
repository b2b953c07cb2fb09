import { useCallback, useMemo, useState } from "react";
import { refusal } from "./circle.js";

/**
 * Linking in progress: null, or {from, name, backwards, by}. `backwards` means that what is chosen next runs before
 * `from`; `by` is "drag", or "choice" for links made by two clicks or by the keyboard.
 */
export function useLinking({ now, board, say, refuse }) {
  const [linking, setLinking] = useState(null);

  const start = useCallback(
    (from, backwards, by) => {
      const { name } = now().canvas.nodes.find((node) => node.id === from);
      setLinking({ from, name, backwards, by });
      if (by === "choice") {
        say(
          `Linking ${name}. Tab to the node that runs ${backwards ? "before" : "after"} it and press Enter, ` +
            "or press Escape to cancel.",
        );
      }
    },
    [now, say],
  );

  /** Link, or say at this place why not. */
  const link = useCallback(
    (up, down, at) => {
      setLinking(null);
      const { canvas } = now();
      const name = (id) => canvas.nodes.find((node) => node.id === id)?.name;
      const why = refusal(canvas, up, down);
      if (why) refuse(why, at);
      else board.do([{ op: "link", up, down }], { said: `Linked ${name(up)} → ${name(down)}`, at });
    },
    [now, board, refuse],
  );

  const finish = useCallback(
    (id, at) => {
      if (linking) link(...(linking.backwards ? [id, linking.from] : [linking.from, id]), at);
    },
    [linking, link],
  );

  const stop = useCallback(() => setLinking(null), []);
  const cancel = useCallback(() => {
    setLinking(null);
    say("Linking cancelled");
  }, [say]);

  return useMemo(() => ({ linking, start, link, finish, stop, cancel }), [linking, start, link, finish, stop, cancel]);
}
