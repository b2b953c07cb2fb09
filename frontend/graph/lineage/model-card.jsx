import { memo } from "react";
import { Handle, Position } from "@xyflow/react";
import { Cut } from "../cut.jsx";
import { Icon } from "../icon.jsx";
import { stateIcon } from "../states.js";
import { typeIcon } from "./types.js";

/** A model, seed, source ... of the graph. Far away only its colour is drawn; graph.css decides. */
export const ModelCard = memo(function ModelCard({ data }) {
  const { name, type, state, chosen } = data;
  return (
    <div className={`model-card type-${type} ${chosen ? "is-chosen" : ""} ${state ? `state-${state}` : ""}`}>
      <Icon name={state ? stateIcon(state) : typeIcon(type)} />
      <Cut text={name} />
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
});
