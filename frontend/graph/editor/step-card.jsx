import { memo, useContext } from "react";
import { Handle, Position } from "@xyflow/react";
import { count } from "../count.js";
import { Cut } from "../cut.jsx";
import { Icon } from "../icon.jsx";
import { stateIcon, stateWord } from "../states.js";
import { Actions } from "./actions.js";

// The buttons in a card are for pointers and are left out of the tab order: a flow of a hundred steps would need
// hundreds of stops. The keyboard does the same on the card itself: Enter opens, M unfolds, L links.
export const StepCard = memo(function StepCard({ data }) {
  const { step, unfolded, mayEdit } = data;
  const actions = useContext(Actions);
  return (
    <div className={`step-card kind-${step.kind}`}>
      <div className="step-head">
        <span className="step-kind" title={step.kind_label}>
          <Icon name={step.kind_icon} />
        </span>
        <Cut text={step.name} />
        <button
          type="button"
          className="icon-button small step-open nodrag"
          tabIndex={-1}
          aria-label={`Open ${step.name}`}
          title="Open (Enter)"
          onClick={() => actions.open(step)}
        >
          <Icon name={mayEdit ? "pencil" : "panel-right"} />
        </button>
      </div>
      {step.problem ? (
        <div className="step-detail step-problem" title={step.problem}>
          <Icon name="triangle-alert" />
          <span>{step.problem}</span>
        </div>
      ) : (
        <div className="step-detail" title={step.detail}>
          <span>{step.detail}</span>
        </div>
      )}
      <div className="step-foot">
        <Tasks step={step} unfolded={unfolded} unfold={actions.unfold} />
        <State state={data.state} url={data.runUrl} />
      </div>
      {unfolded && <Models step={step} />}
      <Port type="target" step={step} mayEdit={mayEdit} press={actions.pressPort} />
      <Port type="source" step={step} mayEdit={mayEdit} press={actions.pressPort} />
    </div>
  );
});

function Port({ type, step, mayEdit, press }) {
  const isSource = type === "source";
  return (
    <Handle
      type={type}
      position={isSource ? Position.Right : Position.Left}
      className="port"
      isConnectable={mayEdit}
      title={mayEdit ? `Link: what runs ${isSource ? "after" : "before"} ${step.name}` : undefined}
      onClick={mayEdit ? (event) => press(event, step.id, isSource) : undefined}
    />
  );
}

function Tasks({ step, unfolded, unfold }) {
  const words = count(step.tasks, "task");
  if (!step.models.length) return <span className="step-tasks">{words}</span>;
  return (
    <button
      type="button"
      className="step-tasks nodrag"
      tabIndex={-1}
      aria-expanded={unfolded}
      aria-label={`${words}: ${unfolded ? "hide" : "show"} the models of ${step.name}`}
      title={unfolded ? "Hide its models (M)" : "Show its models (M)"}
      onClick={() => unfold(step.id)}
    >
      {words}
      <Icon name="chevron-down" />
    </button>
  );
}

function State({ state, url }) {
  if (!state) return <span className="step-state muted">Never run</span>;
  const badge = (
    <>
      <Icon name={stateIcon(state)} />
      {stateWord(state)}
    </>
  );
  if (!url) return <span className={`step-state state-${state}`}>{badge}</span>;
  return (
    <a className={`step-state state-${state} nodrag`} href={url} tabIndex={-1} title="Open its latest run">
      {badge}
    </a>
  );
}

function Models({ step }) {
  return (
    <ul className="step-models nowheel nodrag" aria-label={`Models of ${step.name}`}>
      {step.models.map((model) => (
        <li key={model.id}>
          <a href={model.url}>
            <Cut text={model.name} />
            {model.type !== "model" && <span className="muted">{model.type}</span>}
          </a>
        </li>
      ))}
      {step.more_models > 0 && <li className="muted">and {step.more_models.toLocaleString("en")} more</li>}
    </ul>
  );
}
