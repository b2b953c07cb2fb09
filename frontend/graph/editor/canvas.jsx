import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { applyNodeChanges, Background, MiniMap, ReactFlow, useReactFlow } from "@xyflow/react";
import { quick } from "../motion.js";
import { FIT, Zoom } from "../zoom.jsx";
import { Actions } from "./actions.js";
import { refusal as whyNot } from "./circle.js";
import { Empty } from "./empty.jsx";
import { toEdges, toNodes } from "./flow-shape.js";
import { LinkLine } from "./link-line.jsx";
import { Conflict, Refusal, Toast } from "./notices.jsx";
import { SelectionBar } from "./selection-bar.jsx";
import { Shortcuts } from "./shortcuts.jsx";
import { NodeCard } from "./node-card.jsx";
import { SaveState, Toolbar } from "./toolbar.jsx";
import { useActs } from "./use-acts.js";
import { useKeys } from "./use-keys.js";
import { useLinking } from "./use-linking.js";
import { useNudge } from "./use-nudge.js";
import { openForm, usePage } from "./use-page.js";
import { useViewport } from "./use-viewport.js";
import { useStates } from "./use-states.js";

const NODE_TYPES = { node: NodeCard };
const EDGE_TYPES = { link: LinkLine };
const SEVERAL = ["Shift", "Control", "Meta"];
const GRID = [8, 8];
const LABELS = { "minimap.ariaLabel": "Map of the flow" };
const MAP = { width: 168, height: 108 };
const FAR = 0.5; // below this zoom the buttons of a card are too small
const minimapClass = (node) => `kind-${node.data.node.kind}`;

export function Canvas({ element, server, board, snapshot, hear }) {
  const { canvas, saved } = snapshot;
  const mayEdit = canvas.may_edit;
  const flow = useReactFlow();
  const box = useRef(null);
  const viewport = useViewport(box);
  const states = useStates(server);
  const [nodes, setNodes] = useState([]);
  const [unfolded, setUnfolded] = useState(() => new Set());
  const [chosenEdge, setChosenEdge] = useState(null);
  const [focused, setFocused] = useState(null);
  const [toast, setToast] = useState(null);
  const [refused, setRefused] = useState(null);
  const [said, say] = useState("");
  const [keysShown, setKeysShown] = useState(false);
  const home = useRef(null); // the node whose links the keyboard walks
  const wanted = useRef(null); // the nodes to choose as soon as they are drawn: {ids, focus}
  const latest = useRef({});
  const now = useCallback(() => latest.current, []);

  // --- choosing -------------------------------------------------------------------------------------------
  const choose = useCallback((isChosen) => {
    setChosenEdge(null);
    setNodes((old) =>
      old.map((node) => {
        const selected = isChosen(node);
        return Boolean(node.selected) === selected ? node : { ...node, selected };
      }),
    );
  }, []);
  const chooseLink = useCallback(
    (id) => {
      choose(() => false);
      setChosenEdge(id);
      if (!id && home.current) viewport.cardOf(home.current)?.focus();
    },
    [choose, viewport],
  );
  const focusAfter = useCallback(
    (gone) => {
      if (!box.current.contains(document.activeElement)) return;
      const next = latest.current.nodes.find((node) => !gone.includes(node));
      (next ? viewport.cardOf(next.id) : box.current).focus();
    },
    [viewport],
  );
  const refuse = useCallback(
    (text, at) => {
      setRefused({ text, at: at ?? viewport.middle() });
      say(text);
    },
    [viewport],
  );

  // --- doing ----------------------------------------------------------------------------------------------
  const save = useRef(() => {});
  const { held, nudge, flush } = useNudge({ setNodes, now, save });
  const linker = useLinking({ now, board, say, refuse });
  const { linking } = linker;
  const acts = useActs({ board, now, flush, say, refuse, setToast, focusAfter, chooseLink });
  save.current = acts.move;
  const open = useCallback(({ url }) => openForm(element, url), [element]);
  const unfold = useCallback(
    (id) => setUnfolded((old) => (old.has(id) ? new Set([...old].filter((other) => other !== id)) : new Set([...old, id]))),
    [],
  );
  const pressPort = useCallback(
    (event, id, isSource) => {
      event.stopPropagation();
      if (latest.current.linking?.by === "choice") linker.finish(id, viewport.placeOf(id));
      else linker.start(id, !isSource, "choice");
    },
    [linker, viewport],
  );
  const cardActions = useRef({});
  cardActions.current = { open, unfold, pressPort };
  const stableActions = useMemo(
    () =>
      Object.fromEntries(
        ["open", "unfold", "pressPort"].map((name) => [name, (...what) => cardActions.current[name](...what)]),
      ),
    [],
  );
  const fit = useCallback(() => flow.fitView({ ...FIT, duration: quick() }), [flow]);
  const onMove = useCallback((_, { zoom }) => box.current.classList.toggle("far", zoom < FAR), []);
  // Where all of a flow would be too small to read, as on a phone, it begins with its first node.
  const begin = useCallback(() => {
    if (flow.getZoom() >= FAR) return;
    const { x, y, height } = flow.getNodesBounds(latest.current.nodes);
    const zoom = 0.75;
    flow.setViewport({ x: 16 - x * zoom, y: box.current.clientHeight / 2 - (y + height / 2) * zoom, zoom });
  }, [flow]);

  // --- what is drawn --------------------------------------------------------------------------------------
  useEffect(() => {
    setNodes((old) => toNodes(canvas, { old, states, unfolded, linking, held }));
  }, [canvas, states, unfolded, linking, held]);
  const preview = useMemo(() => previewOf(canvas, linking, focused), [canvas, linking, focused]);
  const edges = useMemo(() => toEdges(canvas, chosenEdge, preview), [canvas, chosenEdge, preview]);
  const chosen = useMemo(() => nodes.filter((node) => node.selected), [nodes]);
  const chosenLink = edges.find((edge) => edge.id === chosenEdge)?.data;
  latest.current = { canvas, nodes, chosen, chosenLink, linking };
  useEffect(() => {
    const { ids, focus } = wanted.current ?? {};
    if (!ids?.every((id) => nodes.some((node) => node.id === String(id)))) return;
    wanted.current = null;
    choose((node) => ids.includes(Number(node.id)));
    requestAnimationFrame(() => {
      if (focus) viewport.cardOf(ids[0])?.focus({ preventScroll: true });
      viewport.lookAt(ids[0]);
    });
  }, [nodes, choose, viewport]);

  // --- what the server and the page say ----------------------------------------------------------------------
  hear.current = (event, detail) => {
    if (event === "refused") {
      refuse(detail.error, detail.step.at);
      setToast(null);
      if (detail.forbidden) board.load();
    } else if (event === "saved" && detail.step.what === "do") {
      const { step, canvas: after, before } = detail;
      if (after.said) say(after.said);
      const known = new Set(before.nodes.map((node) => node.id));
      const made = after.nodes.map((node) => node.id).filter((id) => !known.has(id));
      if (step.operations[0].op === "duplicate" && made.length) wanted.current = { ids: made, focus: true };
      if (step.operations[0].op === "arrange") requestAnimationFrame(() => setTimeout(fit));
    } else if (event === "saved") {
      const words = `${detail.step.what === "undo" ? "Undone" : "Redone"}: ${detail.step.entry.said}`;
      setToast({ text: `${words}.` });
      say(words);
    }
  };
  usePage({
    element,
    saved,
    hear: {
      changed: ({ version_before: versionBefore, node }) => {
        if (node) wanted.current = { ids: [node] };
        board.load(versionBefore);
      },
      focus: (id, quiet) => {
        choose((node) => node.id === String(id));
        viewport.lookAt(id, !quiet);
        if (!quiet) viewport.cardOf(id)?.focus({ preventScroll: true });
      },
      duplicate: (id) => mayEdit && acts.duplicate(id),
      remove: (id) => mayEdit && acts.remove(id),
    },
  });

  // --- keys -----------------------------------------------------------------------------------------------
  function walkEdges(id, by) {
    home.current = id;
    const own = edges.filter(({ data }) => data.up === id || data.down === id);
    if (!own.length) {
      say("This node has no links");
      return;
    }
    const at = own.findIndex((edge) => edge.id === chosenEdge);
    const edge = own[(Math.max(at, 0) + by) % own.length];
    choose(() => false);
    setChosenEdge(edge.id);
    viewport.edgeOf(edge.id)?.focus();
  }
  function escape() {
    if (linking) linker.cancel();
    else if (refused) setRefused(null);
    else if (chosenEdge) chooseLink(null);
    else if (chosen.length) choose(() => false);
    else return false;
    return true;
  }
  const keys = {
    zoomIn: () => flow.zoomIn({ duration: quick() }),
    zoomOut: () => flow.zoomOut({ duration: quick() }),
    fit,
    chooseAll: () => choose(() => true),
    showKeys: () => setKeysShown(true),
    enter: (id) => (linking ? linker.finish(id, viewport.placeOf(id)) : open(canvas.nodes.find((node) => node.id === id))),
    choose: (id) => choose((node) => (Number(node.id) === id) !== Boolean(node.selected)),
    unfold: (id) => canvas.nodes.find((node) => node.id === id)?.models.length && unfold(id),
    walkEdges: (id) => walkEdges(id, 0),
    nextEdge: () => walkEdges(home.current, 1),
  };
  const changing = {
    undo: acts.undo,
    redo: acts.redo,
    duplicate: (id) => acts.duplicate(id),
    remove: (id) => (chosenLink ? acts.unlink() : acts.remove(id)),
    unlink: () => chosenLink && acts.unlink(),
    startLink: (id) => linker.start(id, false, "choice"),
    nudge: (id, x, y) => nudge(acts.concerned(id).map((node) => node.id), x, y),
  };
  useKeys(box, { ...used(keys), ...used(changing, mayEdit), escape });
  const onFocus = useCallback(
    (event) => {
      const card = event.target.closest(".react-flow__node");
      setFocused(card ? Number(card.dataset.id) : null);
      if (card === event.target && card.matches(":focus-visible")) viewport.lookAt(card.dataset.id);
    },
    [viewport],
  );

  // --- the hands ------------------------------------------------------------------------------------------
  function onConnectEnd(event, { isValid, toNode }) {
    const from = linking;
    linker.stop();
    if (isValid || !from) return; // onConnect has it
    const id = toNode ? Number(toNode.id) : viewport.cardBelow(event);
    if (!id || id === from.from) return;
    linker.link(...(from.backwards ? [id, from.from] : [from.from, id]), viewport.pointOf(event));
  }
  function onPaneClick() {
    setChosenEdge(null);
    setRefused(null);
    if (linking) linker.cancel();
  }
  const closeToast = useCallback(() => setToast(null), []);
  const closeRefusal = useCallback(() => setRefused(null), []);

  return (
    <div
      className={`canvas-box ${linking ? `linking ${linking.by} ${linking.backwards ? "backwards" : ""}` : ""}`}
      ref={box}
      tabIndex={-1}
      onFocus={onFocus}
      onBlur={() => setFocused(null)}
    >
      <Actions.Provider value={stableActions}>
        <ReactFlow
          aria-label={`Canvas of ${canvas.flow.name}`}
          nodes={nodes}
          edges={edges}
          nodeTypes={NODE_TYPES}
          edgeTypes={EDGE_TYPES}
          onNodesChange={useCallback((changes) => setNodes((old) => applyNodeChanges(changes, old)), [])}
          onNodeClick={(event, node) => {
            setChosenEdge(null);
            if (linking?.by === "choice") linker.finish(Number(node.id), viewport.pointOf(event));
          }}
          onNodeDoubleClick={(event, node) => event.target.closest("a, button, .port") || open(node.data.node)}
          onNodeDragStart={flush}
          onNodeDragStop={(_, __, moved) => acts.move(moved)}
          onSelectionStart={() => setChosenEdge(null)}
          onEdgeClick={(_, edge) => {
            home.current = null;
            chooseLink(edge.id);
          }}
          onPaneClick={onPaneClick}
          onInit={begin}
          onMove={onMove}
          onConnectStart={(_, { nodeId, handleType }) => linker.start(Number(nodeId), handleType === "target", "drag")}
          onConnect={({ source, target }) => linker.link(Number(source), Number(target))}
          onConnectEnd={onConnectEnd}
          isValidConnection={({ source, target }) => !whyNot(canvas, Number(source), Number(target))}
          connectOnClick={false}
          connectionRadius={32}
          nodesDraggable={mayEdit}
          nodesConnectable={mayEdit}
          nodesFocusable
          edgesFocusable={false}
          disableKeyboardA11y
          deleteKeyCode={null}
          multiSelectionKeyCode={SEVERAL}
          selectionMode="partial"
          snapToGrid
          snapGrid={GRID}
          zoomOnDoubleClick={false}
          minZoom={0.15}
          maxZoom={2}
          fitView
          fitViewOptions={FIT}
          ariaLabelConfig={LABELS}
        >
          <Background gap={24} size={1.5} />
          <Toolbar acts={acts} snapshot={snapshot} showKeys={() => setKeysShown(true)} />
          <SaveState board={board} snapshot={snapshot} />
          <Zoom fit={fit} />
          {canvas.nodes.length > 0 && (
            <MiniMap pannable zoomable nodeClassName={minimapClass} nodeBorderRadius={12} className="minimap" style={MAP} />
          )}
          <SelectionBar
            linking={linking}
            nodes={chosen.map((node) => node.data.node)}
            link={chosenLink}
            mayEdit={mayEdit}
            acts={{ ...acts, open, cancelLink: linker.cancel, startLink: changing.startLink }}
          />
        </ReactFlow>
      </Actions.Provider>
      {!canvas.nodes.length && <Empty canvas={canvas} open={open} />}
      <Toast toast={toast} close={closeToast} />
      <Refusal refusal={refused} close={closeRefusal} />
      <Conflict conflict={snapshot.conflict} board={board} />
      <Shortcuts shown={keysShown} mayEdit={mayEdit} close={() => setKeysShown(false)} />
      <p id="canvas-keys" hidden>
        Enter opens{mayEdit && ", arrow keys move, L links, Delete removes"}, E steps through the links. Question mark lists all
        keys.
      </p>
      <p role="status" className="visually-hidden">
        {said}
      </p>
    </div>
  );
}

// The arrow that Enter would draw, while the keyboard chooses the other end of a link.
function previewOf(canvas, linking, focused) {
  if (linking?.by !== "choice" || !focused || focused === linking.from) return null;
  const [up, down] = linking.backwards ? [focused, linking.from] : [linking.from, focused];
  return whyNot(canvas, up, down) ? null : { up, down };
}

// A key that means something here is not the browser's, even when it may not do anything now.
function used(acts, may = true) {
  const taking = (act) => (...what) => {
    if (may) act(...what);
    return true;
  };
  return Object.fromEntries(Object.entries(acts).map(([name, act]) => [name, taking(act)]));
}
