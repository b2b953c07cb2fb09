import { Icon } from "../icon.jsx";
import { KINDS } from "./kinds.js";

/** A flow without nodes: says what to do next. */
export function Empty({ canvas, open }) {
  return (
    <div className="canvas-empty">
      <h2>{canvas.may_edit ? "Add the first node" : "This flow has no nodes yet"}</h2>
      <p className="muted">
        {canvas.may_edit
          ? "Nodes run in the order of their links. What dbt refs imply is drawn for you."
          : "Who may edit the flow can add them."}
      </p>
      {canvas.may_edit && (
        <ul>
          {Object.entries(KINDS).map(([kind, { name, icon, says }]) => (
            <li key={kind} className={`kind-${kind}`}>
              <button type="button" onClick={() => open({ url: canvas.add_urls[kind] })}>
                <span className="node-kind">
                  <Icon name={icon} />
                </span>
                <span>
                  <b>{name}</b>
                  <span className="muted">{says}</span>
                </span>
                <Icon name="plus" />
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
