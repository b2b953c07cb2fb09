import { useCallback, useMemo, useState } from "react";
import { refusal } from "./circle.js";

/**
 * Linking in progress: null, or {from, name, backwards, by}. `backwards` means that what is chosen next runs before
 * `from`; `by` is "drag", or "choice" for links made by two clicks or by the keyboard.
 */
export function useLinking({ canvas, board, say, refuse }) {
  const [linking, setLinking] = useState(null);
  const nameOf = useCallback((id) => canvas.nodes.find((node) => node.id === id)?.name, [canvas]);

  const start = useCallback(
    (from, backwards, by) => {
      const name = nameOf(from);
      setLinking({ from, name, backwards, by });
      if (by === "choice") {
        say(
          `Linking ${name}. Tab to the step that runs ${backwards ? "before" : "after"} it and press Enter, ` +
            "or press Escape to cancel.",
        );
      }
    },
    [nameOf, say],
  );

  const cancel = useCallback(() => {
    setLinking(null);
    say("Linking cancelled");
  }, [say]);

  /** Link, or say at this place why not; whether it was possible. */
  const link = useCallback(
    (up, down, at) => {
      setLinking(null);
      const why = refusal(canvas, up, down);
      if (why) refuse(why, at);
      else board.do([{ op: "link", up, down }], { said: `Linked ${nameOf(up)} → ${nameOf(down)}`, at });
      return !why;
    },
    [canvas, board, nameOf, refuse],
  );

  const finish = useCallback(
    (id, at) => {
      if (linking) link(...(linking.backwards ? [id, linking.from] : [linking.from, id]), at);
    },
    [linking, link],
  );

  return useMemo(
    () => ({ linking, start, cancel, finish, link, stop: () => setLinking(null) }),
    [linking, start, cancel, finish, link],
  );
}
