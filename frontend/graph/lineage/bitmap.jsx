import { memo, useEffect, useMemo, useRef } from "react";
import { useStoreApi } from "@xyflow/react";
import { inksOf, watchTheme } from "./inks.js";
import { HEIGHT, WIDTH } from "./place.js";

/**
 * The lines of the graph and, from afar, its cards.
 *
 * They are drawn on a bitmap of the size of the screen, and only those in view: as elements, thousands of curves and
 * cards would be laid out and painted again for each frame of a movement.
 */
export const Bitmap = memo(function Bitmap({ nodes, edges, at, far, near, lit }) {
  const canvas = useRef(null);
  const store = useStoreApi();
  const curves = useMemo(() => edges.map((edge) => curveOf(edge, at)), [edges, at]);
  const litCurves = useMemo(() => lit?.map((edge) => curveOf(edge, at)), [lit, at]);
  const drawn = useMemo(() => ({ nodes: far ? nodes : [], curves, litCurves, near }), [far, nodes, curves, litCurves, near]);

  useEffect(() => {
    let inks = inksOf(canvas.current.parentElement);
    let seen = null;
    const draw = () => paint(canvas.current, store.getState(), drawn, inks);
    const moved = ({ transform, width, height }) => {
      const now = `${transform} ${width} ${height}`;
      if (now === seen) return;
      seen = now;
      draw();
    };
    const unwatch = watchTheme(() => {
      inks = inksOf(canvas.current.parentElement);
      draw();
    });
    moved(store.getState());
    const leave = store.subscribe(moved);
    return () => {
      leave();
      unwatch();
    };
  }, [store, drawn]);

  return <canvas ref={canvas} className="bitmap" aria-hidden="true" />;
});

function curveOf([up, down], at) {
  const from = at.get(up);
  const to = at.get(down);
  const [x1, y1, x2, y2] = [from.x + WIDTH, from.y + HEIGHT / 2, to.x, to.y + HEIGHT / 2];
  return { x1, y1, x2, y2, bend: Math.max(24, (x2 - x1) / 2), top: Math.min(y1, y2), bottom: Math.max(y1, y2) };
}

function paint(canvas, { transform: [x, y, zoom], width, height }, { nodes, curves, litCurves, near }, inks) {
  if (!width || !height) return;
  const sharp = devicePixelRatio;
  if (canvas.width !== Math.round(width * sharp) || canvas.height !== Math.round(height * sharp)) {
    canvas.width = Math.round(width * sharp);
    canvas.height = Math.round(height * sharp);
  }
  const pen = canvas.getContext("2d");
  const view = { left: -x / zoom, top: -y / zoom, right: (width - x) / zoom, bottom: (height - y) / zoom };
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.setTransform(sharp * zoom, 0, 0, sharp * zoom, sharp * x, sharp * y);
  // One pixel wide at any zoom: so thin a line costs a fraction of one that has an outline.
  strokeAll(pen, curves, view, inks(near ? "ink-dim" : "ink-line"), 1 / (sharp * zoom));
  if (litCurves) strokeAll(pen, litCurves, view, inks("ink-lit"), 1.5 / (sharp * zoom));
  for (const node of nodes) {
    pen.fillStyle = inks(inkOf(node, near));
    pen.fillRect(node.x, node.y, WIDTH, HEIGHT);
  }
}

function inkOf(node, near) {
  if (node.chosen || near?.id === node.id) return "ink-lit";
  if (near && !near.up.has(node.id) && !near.down.has(node.id)) return "ink-dim";
  return node.state ? `state-${node.state}` : `type-${node.type}`;
}

function strokeAll(pen, curves, { left, top, right, bottom }, colour, width) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  for (const { x1, y1, x2, y2, bend, top: high, bottom: low } of curves) {
    if (low < top || high > bottom || x1 > right || x2 < left) continue;
    pen.beginPath();
    pen.moveTo(x1, y1);
    pen.bezierCurveTo(x1 + bend, y1, x2 - bend, y2, x2, y2);
    pen.stroke();
  }
}
