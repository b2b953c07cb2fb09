import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Background, getViewportForBounds, Panel, ReactFlow, useReactFlow } from "@xyflow/react";
import { Cut } from "../cut.jsx";
import { Icon } from "../icon.jsx";
import { quick } from "../motion.js";
import { FIT, Zoom } from "../zoom.jsx";
import { Bitmap } from "./bitmap.jsx";
import { ModelCard } from "./model-card.jsx";
import { neighboursOf, reach } from "./neighbours.js";
import { Overview } from "./overview.jsx";
import { boundsOf, HEIGHT, nodeAt, WIDTH } from "./place.js";
import { Search } from "./search.jsx";
import { typeIcon } from "./types.js";
import { step } from "./walk.js";

const NODE_TYPES = { model: ModelCard };
const NONE = [];
const LEAST_ZOOM = 0.05;
const FAR = 0.45; // below this zoom no name can be read, so the cards are only drawn as blocks
const SIZE = { initialWidth: WIDTH, initialHeight: HEIGHT, width: WIDTH, height: HEIGHT };

export function Graph({ graph, element }) {
  const flow = useReactFlow();
  const box = useRef(null);
  const [chosen, setChosen] = useState(null);
  const [active, setActive] = useState(false); // whether the wheel is for the graph and not for the page
  const trail = useRef([]);
  const { byId, at, parents, children } = useMemo(
    () => ({
      byId: new Map(graph.nodes.map((node) => [node.id, node])),
      at: new Map(graph.nodes.map(({ id, x, y }) => [id, { x, y }])),
      ...neighboursOf(graph.edges),
    }),
    [graph],
  );
  const bounds = useMemo(() => boundsOf(graph.nodes), [graph]);
  const start = graph.nodes.find((node) => node.chosen);
  const [begin] = useState(() => beginAt(element, bounds, start));
  const [far, setFar] = useState(begin.zoom < FAR);

  const near = useMemo(() => {
    if (!chosen) return null;
    return { id: chosen, up: reach(parents, chosen), down: reach(children, chosen) };
  }, [chosen, parents, children]);
  const lit = useMemo(() => {
    if (!near) return null;
    const up = new Set([...near.up, chosen]);
    const down = new Set([...near.down, chosen]);
    return graph.edges.filter(([a, b]) => (up.has(a) && up.has(b)) || (down.has(a) && down.has(b)));
  }, [near, chosen, graph]);

  const [nodes, setNodes] = useState(() => graph.nodes.map(toNode));
  useEffect(() => {
    setNodes((old) =>
      old.map((node, place) => {
        const { data, ariaLabel } = toNode(graph.nodes[place]);
        return node.data === data ? node : { ...node, data, ariaLabel };
      }),
    );
  }, [graph]);
  useEffect(() => {
    const classOf = (id) => {
      if (!near) return "";
      if (id === chosen) return "current";
      return near.up.has(id) || near.down.has(id) ? "near" : "";
    };
    setNodes((old) =>
      old.map((node) => {
        const className = classOf(node.id);
        return node.className === className ? node : { ...node, className };
      }),
    );
  }, [near, chosen]);

  const go = useCallback(
    (id) => {
      const place = at.get(id);
      setChosen(id);
      trail.current.push(id);
      const zoom = Math.max(flow.getZoom(), 0.7);
      flow.setCenter(place.x + WIDTH / 2, place.y + HEIGHT / 2, { zoom, duration: quick() });
    },
    [at, flow],
  );
  const open = useCallback((id) => byId.get(id)?.url && location.assign(byId.get(id).url), [byId]);

  function press(event) {
    if (event.target.closest("input, a, button") || event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      Escape: () => setChosen(null),
      Enter: () => open(chosen),
      Home: () => start && go(start.id),
      "+": () => flow.zoomIn({ duration: quick() }),
      "-": () => flow.zoomOut({ duration: quick() }),
      f: fit,
    };
    const act = acts[event.key];
    if (act) act();
    else if (event.key.startsWith("Arrow")) {
      const from = chosen ?? start?.id ?? graph.nodes[0].id;
      const next = chosen ? step(event.key, from, { parents, children, at }, trail.current) : from;
      if (next) go(next);
    } else return;
    event.preventDefault();
  }

  const onMove = useCallback((_, { zoom }) => setFar(zoom < FAR), []);
  const onMoveStart = useCallback(() => box.current.classList.add("moving"), []);
  const onMoveEnd = useCallback(() => box.current.classList.remove("moving"), []);
  const onPaneClick = useCallback(
    ({ clientX, clientY }) => {
      const below = far && nodeAt(graph.nodes, flow.screenToFlowPosition({ x: clientX, y: clientY }));
      setChosen(below?.id ?? null);
    },
    [far, flow, graph],
  );
  const fit = useCallback(() => flow.fitBounds(bounds, { padding: FIT.padding, duration: quick() }), [flow, bounds]);
  const current = chosen && byId.get(chosen);

  return (
    <div
      ref={box}
      className={`canvas-box lineage ${near ? "has-current" : ""}`}
      onFocus={() => setActive(true)}
      onPointerDown={() => setActive(true)}
      onBlur={(event) => box.current.contains(event.relatedTarget) || setActive(false)}
      onKeyDown={press}
    >
      <ReactFlow
        tabIndex={0}
        aria-label={`${element.dataset.label ?? "Lineage"}: use the left and right arrow keys to move, and Enter to open the selected item`}
        nodes={far ? NONE : nodes}
        edges={NONE}
        nodeTypes={NODE_TYPES}
        onNodeClick={useCallback((_, node) => setChosen(node.id), [])}
        onNodeDoubleClick={useCallback((_, node) => open(node.id), [open])}
        onPaneClick={onPaneClick}
        onMove={onMove}
        onMoveStart={onMoveStart}
        onMoveEnd={onMoveEnd}
        onlyRenderVisibleElements
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        elementsSelectable={false}
        edgesFocusable={false}
        disableKeyboardA11y
        deleteKeyCode={null}
        selectionKeyCode={null}
        multiSelectionKeyCode={null}
        zoomOnScroll={active}
        preventScrolling={active}
        zoomOnDoubleClick={false}
        minZoom={LEAST_ZOOM}
        maxZoom={2}
        defaultViewport={begin}
      >
        <Background gap={24} size={1.5} />
        <Bitmap nodes={graph.nodes} edges={graph.edges} at={at} far={far} near={near} lit={lit} />
        <Search nodes={graph.nodes} go={go} />
        {graph.more > 0 && (
          <Panel position="top-right" className="tools lineage-more">
            {graph.more.toLocaleString("en")} more are not drawn; ask for fewer steps to see all.
          </Panel>
        )}
        <Zoom fit={fit} />
        <Overview nodes={graph.nodes} bounds={bounds} />
        {current && <Current node={current} near={near} />}
      </ReactFlow>
      <p role="status" className="visually-hidden">
        {current && `${described(current)}, ${near.up.size} upstream, ${near.down.size} downstream`}
      </p>
    </div>
  );
}

function Current({ node, near }) {
  return (
    <Panel position="bottom-center" className="tools selection-bar">
      <Icon name={typeIcon(node.type)} />
      <b className="bar-name">
        <Cut text={node.name} />
      </b>
      <span className="muted">
        {near.up.size} upstream, {near.down.size} downstream
      </span>
      {node.url && !node.chosen && (
        <a className="button small ghost" href={node.url}>
          <Icon name="arrow-right" />
          <span>Open</span>
        </a>
      )}
    </Panel>
  );
}

// All of the graph when its names can be read then; otherwise the model that it is about.
function beginAt({ clientWidth, clientHeight }, bounds, start) {
  const whole = getViewportForBounds(bounds, clientWidth, clientHeight, LEAST_ZOOM, FIT.maxZoom, FIT.padding);
  if (whole.zoom >= FAR || !start) return whole;
  const zoom = 0.7;
  const x = clientWidth / 2 - (start.x + WIDTH / 2) * zoom;
  const y = clientHeight / 2 - (start.y + HEIGHT / 2) * zoom;
  return { x, y, zoom };
}

/** What is read out of a card; its state is otherwise only a colour and an icon. */
function described({ name, type, state }) {
  return [name, type, state].filter(Boolean).join(", ");
}

function toNode(node) {
  return {
    id: node.id,
    type: "model",
    position: { x: node.x, y: node.y },
    data: node,
    className: "",
    ariaRole: "group",
    ariaLabel: described(node),
    ...SIZE,
  };
}
