import { memo, useContext } from "react";
import { Handle, Position } from "@xyflow/react";
import { count } from "../count.js";
import { Cut } from "../cut.jsx";
import { Icon } from "../icon.jsx";
import { stateIcon, stateWord } from "../states.js";
import { Actions } from "./actions.js";

// The buttons in a card are for pointers and are left out of the tab order: a flow of a hundred nodes would need
// hundreds of stops. The keyboard does the same on the card itself: Enter opens, M unfolds, L links.
export const NodeCard = memo(function NodeCard({ data }) {
  const { node, unfolded, mayEdit } = data;
  const actions = useContext(Actions);
  return (
    <div className={`node-card kind-${node.kind}`}>
      <div className="node-head">
        <span className="node-kind" title={node.kind_label}>
          <Icon name={node.kind_icon} />
        </span>
        <Cut text={node.name} />
        <button
          type="button"
          className="icon-button small node-open nodrag"
          tabIndex={-1}
          aria-label={`Open ${node.name}`}
          title="Open (Enter)"
          onClick={() => actions.open(node)}
        >
          <Icon name={mayEdit ? "pencil" : "panel-right"} />
        </button>
      </div>
      {node.problem ? (
        <div className="node-detail node-problem" title={node.problem}>
          <Icon name="triangle-alert" />
          <span>{node.problem}</span>
        </div>
      ) : (
        <div className="node-detail" title={node.detail}>
          <span>{node.detail}</span>
        </div>
      )}
      <div className="node-foot">
        <Tasks node={node} unfolded={unfolded} unfold={actions.unfold} />
        <State state={data.state} url={data.runUrl} />
      </div>
      {unfolded && <Models node={node} />}
      <Port type="target" node={node} mayEdit={mayEdit} press={actions.pressPort} />
      <Port type="source" node={node} mayEdit={mayEdit} press={actions.pressPort} />
    </div>
  );
});

function Port({ type, node, mayEdit, press }) {
  const isSource = type === "source";
  return (
    <Handle
      type={type}
      position={isSource ? Position.Right : Position.Left}
      className="port"
      isConnectable={mayEdit}
      title={mayEdit ? `Link: what runs ${isSource ? "after" : "before"} ${node.name}` : undefined}
      onClick={mayEdit ? (event) => press(event, node.id, isSource) : undefined}
    />
  );
}

function Tasks({ node, unfolded, unfold }) {
  const words = count(node.tasks, "task");
  if (!node.models.length) return <span className="node-tasks">{words}</span>;
  return (
    <button
      type="button"
      className="node-tasks nodrag"
      tabIndex={-1}
      aria-expanded={unfolded}
      aria-label={`${words}: ${unfolded ? "hide" : "show"} the models of ${node.name}`}
      title={unfolded ? "Hide its models (M)" : "Show its models (M)"}
      onClick={() => unfold(node.id)}
    >
      {words}
      <Icon name="chevron-down" />
    </button>
  );
}

function State({ state, url }) {
  if (!state) return <span className="node-state muted">Never run</span>;
  const badge = (
    <>
      <Icon name={stateIcon(state)} />
      {stateWord(state)}
    </>
  );
  if (!url) return <span className={`node-state state-${state}`}>{badge}</span>;
  return (
    <a className={`node-state state-${state} nodrag`} href={url} tabIndex={-1} title="Open its latest run">
      {badge}
    </a>
  );
}

function Models({ node }) {
  return (
    <ul className="node-models nowheel nodrag" aria-label={`Models of ${node.name}`}>
      {node.models.map((model) => (
        <li key={model.id}>
          <a href={model.url}>
            <Cut text={model.name} />
            {model.type !== "model" && <span className="muted">{model.type}</span>}
          </a>
        </li>
      ))}
      {node.more_models > 0 && <li className="muted">and {node.more_models.toLocaleString("en")} more</li>}
    </ul>
  );
}
