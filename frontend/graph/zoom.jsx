import { Panel, useReactFlow, useStore } from "@xyflow/react";
import { IconButton } from "./button.jsx";
import { quick } from "./motion.js";

export const FIT = { padding: 0.08, maxZoom: 1 };

/** Zoom and fit, with how far one is. */
export function Zoom({ fit }) {
  const { zoomIn, zoomOut, zoomTo } = useReactFlow();
  const percent = useStore((state) => Math.round(state.transform[2] * 100));
  return (
    <Panel position="bottom-left" className="tools zoom">
      <IconButton icon="zoom-out" label="Zoom out" keys="-" onClick={() => zoomOut({ duration: quick() })} />
      <button
        type="button"
        className="button ghost zoom-percent"
        title="Zoom to 100 %"
        aria-label={`Zoom is ${percent} %. Set it to 100 %`}
        onClick={() => zoomTo(1, { duration: quick() })}
      >
        {percent} %
      </button>
      <IconButton icon="zoom-in" label="Zoom in" keys="+" onClick={() => zoomIn({ duration: quick() })} />
      <IconButton icon="scan" label="Fit" keys="F" onClick={fit} />
    </Panel>
  );
}
