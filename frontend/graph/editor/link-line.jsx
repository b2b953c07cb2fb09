import { memo, useState } from "react";
import { EdgeLabelRenderer, getBezierPath } from "@xyflow/react";

/** An arrow between two nodes; pointed at or chosen, it says why it is there. */
export const LinkLine = memo(function LinkLine({ data, selected, ...ends }) {
  const [pointedAt, setPointedAt] = useState(false);
  const { targetX: x, targetY: y } = ends;
  const [path, middleX, middleY] = getBezierPath({ ...ends, targetX: x - 2 });
  return (
    <>
      <path className="link-path" d={path} />
      <path className="link-tip" d={`M${x - 9} ${y - 5}L${x - 2} ${y}L${x - 9} ${y + 5}`} />
      <path
        className="link-reach"
        d={path}
        onPointerEnter={() => setPointedAt(true)}
        onPointerLeave={() => setPointedAt(false)}
      />
      {(pointedAt || selected) && data.names.length > 0 && (
        <EdgeLabelRenderer>
          <div
            className={`link-note ${selected ? "chosen" : ""}`}
            style={{ transform: `translate(${middleX}px, ${middleY - 10}px) translate(-50%, -100%)` }}
          >
            <Why data={data} />
          </div>
        </EdgeLabelRenderer>
      )}
    </>
  );
});

function Why({ data: { names, reason, implied } }) {
  return (
    <>
      <b>
        {names[0]} → {names[1]}
      </b>
      {implied && <span>From refs in the models</span>}
      {reason && <code>{reason}</code>}
    </>
  );
}
