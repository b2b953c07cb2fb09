import { memo } from "react";
import { ViewportPortal } from "@xyflow/react";

export const WIDTH = 220;
export const HEIGHT = 40;

// Thousands of elements would be laid out and painted one by one, so all lines that look the same are one path.
function path(edges, at) {
  const parts = [];
  for (const [up, down] of edges) {
    const from = at.get(up);
    const to = at.get(down);
    if (!from || !to) continue;
    const x1 = from.x + WIDTH;
    const y1 = from.y + HEIGHT / 2;
    const x2 = to.x;
    const y2 = to.y + HEIGHT / 2;
    const bend = Math.max(24, (x2 - x1) / 2);
    parts.push(`M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`);
  }
  return parts.join("");
}

const Line = memo(function Line({ name, edges, at }) {
  return <path className={name} d={path(edges, at)} />;
});

/** The edges of the graph: all of them, and over them those that lie up and down from the chosen model. */
export const Lines = memo(function Lines({ edges, at, lit }) {
  return (
    <ViewportPortal>
      <svg className="lineage-lines" aria-hidden="true">
        <Line name="line" edges={edges} at={at} />
        {lit && <Line name="line-lit" edges={lit} at={at} />}
      </svg>
    </ViewportPortal>
  );
});
