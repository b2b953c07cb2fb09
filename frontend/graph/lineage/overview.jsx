import { memo, useEffect, useRef } from "react";
import { Panel, useReactFlow, useStoreApi } from "@xyflow/react";
import { inksOf, watchTheme } from "./inks.js";
import { HEIGHT, WIDTH } from "./place.js";

const MOST = { width: 168, height: 108 };

/** The whole graph in a corner, with a frame around what is in view; press or drag to go there. */
export const Overview = memo(function Overview({ nodes, bounds }) {
  const flow = useReactFlow();
  const store = useStoreApi();
  const canvas = useRef(null);
  const frame = useRef(null);
  const scale = Math.min(MOST.width / bounds.width, MOST.height / bounds.height);
  const width = Math.max(24, bounds.width * scale);
  const height = Math.max(24, bounds.height * scale);

  useEffect(() => {
    const sharp = devicePixelRatio;
    const draw = () => {
      const inks = inksOf(canvas.current.parentElement);
      canvas.current.width = width * sharp;
      canvas.current.height = height * sharp;
      const pen = canvas.current.getContext("2d");
      pen.scale(sharp * scale, sharp * scale);
      pen.translate(-bounds.x, -bounds.y);
      const least = 1.5 / scale;
      for (const node of nodes) {
        pen.fillStyle = inks(node.chosen ? "ink-lit" : `type-${node.type}`);
        pen.fillRect(node.x, node.y, Math.max(WIDTH, least), Math.max(HEIGHT, least));
      }
    };
    draw();
    return watchTheme(draw);
  }, [nodes, bounds, scale, width, height]);

  useEffect(() => {
    const follow = ({ transform: [x, y, zoom], width: wide, height: high }) => {
      const { style } = frame.current;
      const [left, top] = [bounds.x * zoom + x, bounds.y * zoom + y];
      const isWhole = left >= 0 && top >= 0 && left + bounds.width * zoom <= wide && top + bounds.height * zoom <= high;
      frame.current.closest(".overview").classList.toggle("needless", isWhole);
      style.transform = `translate(${(-x / zoom - bounds.x) * scale}px, ${(-y / zoom - bounds.y) * scale}px)`;
      style.width = `${(wide / zoom) * scale}px`;
      style.height = `${(high / zoom) * scale}px`;
    };
    follow(store.getState());
    return store.subscribe(follow);
  }, [store, bounds, scale]);

  function go(event) {
    if (event.type === "pointermove" && !event.buttons) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    const box = canvas.current.getBoundingClientRect();
    const x = bounds.x + (event.clientX - box.left) / scale;
    const y = bounds.y + (event.clientY - box.top) / scale;
    flow.setCenter(x, y, { zoom: flow.getZoom() });
  }

  return (
    <Panel position="bottom-right" className="overview" aria-hidden="true" onPointerDown={go} onPointerMove={go}>
      <div style={{ width, height }}>
        <canvas ref={canvas} style={{ width, height }} />
        <span ref={frame} />
      </div>
    </Panel>
  );
});
