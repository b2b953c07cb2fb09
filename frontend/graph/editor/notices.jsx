import { useEffect, useRef } from "react";
import { IconButton } from "../button.jsx";
import { Icon } from "../icon.jsx";

/** What was just done, with the way back. */
export function Toast({ toast, close }) {
  useEffect(() => {
    if (!toast) return undefined;
    const timer = setTimeout(close, toast.undo ? 12_000 : 4_000);
    return () => clearTimeout(timer);
  }, [toast, close]);
  if (!toast) return null;
  return (
    <div className="toast">
      <span>{toast.text}</span>
      {toast.undo && (
        <button type="button" className="button small" onClick={toast.undo}>
          <Icon name="undo-2" />
          Undo
        </button>
      )}
      <IconButton icon="x" label="Dismiss" onClick={close} />
    </div>
  );
}

/** Why something was not done, where it was tried. */
export function Refusal({ refusal, close }) {
  const box = useRef(null);
  // Near an edge of the canvas the box moves inwards until all of it can be read.
  useEffect(() => {
    if (!refusal) return undefined;
    const room = box.current.offsetParent.getBoundingClientRect();
    const { width, height } = box.current.getBoundingClientRect();
    const within = (at, size, most) => Math.max(8, Math.min(at, most - size - 8));
    box.current.style.left = `${within(refusal.at.x - width / 2, width, room.width)}px`;
    box.current.style.top = `${within(refusal.at.y + 16, height, room.height)}px`;
    const timer = setTimeout(close, 15_000);
    return () => clearTimeout(timer);
  }, [refusal, close]);
  if (!refusal) return null;
  return (
    <div className="refusal" ref={box}>
      <Icon name="ban" />
      <p>{refusal.text}</p>
      <IconButton icon="x" label="Dismiss" keys="Escape" onClick={close} />
    </div>
  );
}

/** Two people changed the same thing: nothing is overwritten before one of them has chosen. */
export function Conflict({ conflict, board }) {
  const dialog = useRef(null);
  useEffect(() => {
    if (conflict) dialog.current.showModal();
    else dialog.current.close();
  }, [conflict]);
  return (
    <dialog ref={dialog} aria-labelledby="conflict-title" onCancel={(event) => event.preventDefault()}>
      <header>
        <h2 id="conflict-title">Someone else changed this too</h2>
      </header>
      <div className="dialog-body">
        <p>{conflict?.error}</p>
        {conflict?.changes?.length > 0 && (
          <ul className="conflict-changes">
            {conflict.changes.map((change, at) => (
              <li key={at}>{change}</li>
            ))}
          </ul>
        )}
        <p className="muted">Your change is not saved yet. The history keeps both versions.</p>
      </div>
      <footer>
        <button type="button" className="button" onClick={() => board.keepTheirs()}>
          Keep theirs
        </button>
        <button type="button" className="button primary" onClick={() => board.applyMine()}>
          Apply mine too
        </button>
      </footer>
    </dialog>
  );
}
