import { Panel } from "@xyflow/react";
import { Cut } from "../cut.jsx";
import { Icon } from "../icon.jsx";

/** What can be done with what is chosen; on a touch screen this is the way to do it. */
export function SelectionBar({ linking, nodes, link, mayEdit, acts }) {
  if (linking && linking.by !== "drag") {
    return (
      <Bar>
        <Icon name="link" />
        <span>
          Choose what runs {linking.backwards ? "before" : "after"} <b>{linking.name}</b>
        </span>
        <Act icon="x" label="Cancel" keys="Escape" onClick={acts.cancelLink} />
      </Bar>
    );
  }
  if (link) {
    return (
      <Bar>
        <Icon name="spline" />
        <b>
          {link.names[0]} → {link.names[1]}
        </b>
        {link.implied && <span className="muted">from refs</span>}
        {!link.implied && mayEdit && <Act icon="unlink" label="Remove link" keys="Delete" onClick={acts.unlink} />}
      </Bar>
    );
  }
  if (!nodes.length) return null;
  const [only] = nodes;
  return (
    <Bar>
      <b className="bar-name">{nodes.length === 1 ? <Cut text={only.name} /> : `${nodes.length} nodes`}</b>
      {nodes.length === 1 && <Act icon="panel-right" label="Open" keys="Enter" onClick={() => acts.open(only)} />}
      {mayEdit && (
        <>
          {nodes.length === 1 && <Act icon="link" label="Link" keys="L" onClick={() => acts.startLink(only.id)} />}
          <Act icon="copy" label="Duplicate" keys="Ctrl+D" onClick={() => acts.duplicate()} />
          <Act icon="trash-2" label="Delete" keys="Delete" onClick={() => acts.remove()} danger />
        </>
      )}
    </Bar>
  );
}

function Bar({ children }) {
  return (
    <Panel position="bottom-center" className="tools selection-bar">
      {children}
    </Panel>
  );
}

function Act({ icon, label, keys, onClick, danger }) {
  return (
    <button
      type="button"
      className={`button small ghost ${danger ? "bar-danger" : ""}`}
      title={`${label} (${keys})`}
      onClick={onClick}
    >
      <Icon name={icon} />
      <span>{label}</span>
    </button>
  );
}
