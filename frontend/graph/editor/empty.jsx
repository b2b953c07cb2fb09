import { Icon } from "../icon.jsx";

/** A flow without nodes: says what to do next. */
export function Empty({ canvas, open }) {
  return (
    <div className="canvas-empty">
      <h2>{canvas.may_edit ? "Add your first node" : "This flow has no nodes yet"}</h2>
      <p className="muted">
        {canvas.may_edit
          ? "Nodes run in the order of their links. dex adds the links that follow from dbt refs."
          : "Ask an editor to add some."}
      </p>
      {canvas.may_edit && (
        <ul>
          {canvas.kinds.map(({ kind, label, icon, says, url }) => (
            <li key={kind} className={`kind-${kind}`}>
              <button type="button" onClick={() => open({ url })}>
                <span className="node-kind">
                  <Icon name={icon} />
                </span>
                <span>
                  <b>{label}</b>
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
