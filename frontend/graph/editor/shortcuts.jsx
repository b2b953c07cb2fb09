import { useEffect, useRef } from "react";
import { IconButton } from "../button.jsx";

const EDIT = [
  ["Undo", ["Ctrl", "Z"]],
  ["Redo", ["Ctrl", "Shift", "Z"]],
  ["Move by 8 px", ["←", "↑", "→", "↓"]],
  ["Move by 32 px", ["Shift", "arrow"]],
  ["Link the node; select the other node with Tab and Enter", ["L"]],
  ["Duplicate", ["Ctrl", "D"]],
  ["Delete node or link", ["Delete"]],
];
const LOOK = [
  ["Next, previous node", ["Tab"], ["Shift", "Tab"]],
  ["Open the node", ["Enter"]],
  ["Select or deselect the node", ["Space"]],
  ["Show or hide its models", ["M"]],
  ["Step through the links of the node", ["E"]],
  ["Select all", ["Ctrl", "A"]],
  ["Select several", ["Shift", "click"], ["Shift", "drag"]],
  ["Zoom in, zoom out, fit", ["+"], ["-"], ["F"]],
  ["Cancel", ["Escape"]],
  ["Show this list", ["?"]],
];

export function Shortcuts({ shown, mayEdit, close }) {
  const dialog = useRef(null);
  useEffect(() => {
    if (shown) dialog.current.showModal();
    else dialog.current.close();
  }, [shown]);
  return (
    <dialog ref={dialog} className="shortcuts" aria-labelledby="shortcuts-title" onClose={close}>
      <header>
        <h2 id="shortcuts-title">Keyboard shortcuts</h2>
        <IconButton icon="x" label="Close" keys="Escape" onClick={close} />
      </header>
      <div className="dialog-body">
        {mayEdit && <Keys title="Change" rows={EDIT} />}
        <Keys title="Navigate" rows={LOOK} />
      </div>
    </dialog>
  );
}

function Keys({ title, rows }) {
  return (
    <section>
      <h3>{title}</h3>
      <dl>
        {rows.map(([does, ...ways]) => (
          <div key={does}>
            <dt>{does}</dt>
            <dd>
              {ways.map((keys) => (
                <span key={keys.join()}>
                  {keys.map((key) => (
                    <kbd className="kbd" key={key}>
                      {key}
                    </kbd>
                  ))}
                </span>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
