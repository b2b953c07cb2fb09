import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { applyNodeChanges, Background, MiniMap, ReactFlow, useReactFlow } from "@xyflow/react";
import { quick } from "../motion.js";
import { FIT, Zoom } from "../zoom.jsx";
import { Actions } from "./actions.js";
import { refusal as whyNot } from "./circle.js";
import { Empty } from "./empty.jsx";
import { HEIGHT, toEdges, toNodes, WIDTH } from "./flow-shape.js";
import { pressed } from "./keys.js";
import { LinkLine } from "./link-line.jsx";
import { Conflict, Refusal, Toast } from "./notices.jsx";
import { SelectionBar } from "./selection-bar.jsx";
import { Shortcuts } from "./shortcuts.jsx";
import { StepCard } from "./step-card.jsx";
import { SaveState, Toolbar } from "./toolbar.jsx";
import { useLinking } from "./use-linking.js";
import { useNudge } from "./use-nudge.js";
import { useStates } from "./use-states.js";

const NODE_TYPES = { step: StepCard };
const EDGE_TYPES = { link: LinkLine };
const SEVERAL = ["Shift", "Control", "Meta"];
const GRID = [8, 8];
const LABELS = { "minimap.ariaLabel": "Map of the flow" };
const minimapClass = (node) => `kind-${node.data.step.kind}`;
const idsOf = (nodes) => nodes.map((node) => Number(node.id));

export function Canvas({ element, server, board, snapshot, hear }) {
  const { canvas } = snapshot;
  const flow = useReactFlow();
  const box = useRef(null);
  const states = useStates(server);
  const [unfolded, setUnfolded] = useState(() => new Set());
  const [nodes, setNodes] = useState([]);
  const [chosenLink, setChosenLink] = useState(null);
  const [focused, setFocused] = useState(null);
  const [toast, setToast] = useState(null);
  const [refused, setRefused] = useState(null);
  const [said, say] = useState("");
  const [keysShown, setKeysShown] = useState(false);
  const home = useRef(null); // the step whose links the keyboard walks
  const latest = useRef({});

  const middle = useCallback(() => ({ x: box.current.clientWidth / 2, y: box.current.clientHeight / 3 }), []);
  const refuse = useCallback(
    (text, at) => {
      setRefused({ text, at: at ?? middle() });
      say(text);
    },
    [middle],
  );
  const { linking, start, cancel, finish, link, stop } = useLinking({ canvas, board, say, refuse });

  const saveMoves = useCallback(
    (moved) => {
      const { canvas: now } = latest.current;
      const were = new Map(now.nodes.map((step) => [String(step.id), step]));
      const operations = moved
        .map(({ id, position }) => ({
          op: "move",
          node: Number(id),
          x: Math.round(position.x),
          y: Math.round(position.y),
        }))
        .filter(({ node, x, y }) => {
          const was = were.get(String(node));
          return was && (was.x !== x || was.y !== y);
        });
      const what = operations.length === 1 ? were.get(String(operations[0].node)).name : `${operations.length} steps`;
      board.do(operations, { said: `Moved ${what}` });
    },
    [board],
  );
  const getNodes = useCallback(() => latest.current.nodes, []);
  const { held, nudge, flush } = useNudge({ setNodes, getNodes, save: saveMoves });

  const shape = useCallback(
    (old) => toNodes(canvas, { old, states, unfolded, linking, held }),
    [canvas, states, unfolded, linking, held],
  );
  useEffect(() => setNodes(shape), [shape]);

  const preview = useMemo(() => {
    if (linking?.by !== "choice" || !focused || focused === linking.from) return null;
    const [up, down] = linking.backwards ? [focused, linking.from] : [linking.from, focused];
    return whyNot(canvas, up, down) ? null : { up, down };
  }, [linking, focused, canvas]);
  const edges = useMemo(() => toEdges(canvas, chosenLink, preview), [canvas, chosenLink, preview]);
  const chosen = useMemo(() => nodes.filter((node) => node.selected), [nodes]);
  const link_ = edges.find((edge) => edge.id === chosenLink)?.data;
  latest.current = { canvas, nodes, edges, chosen, linking, chosenLink, focused };

  // --- choosing and looking -------------------------------------------------------------------------------
  const choose = useCallback((isChosen) => {
    setChosenLink(null);
    setNodes((old) =>
      old.map((node) => {
        const selected = isChosen(node);
        return Boolean(node.selected) === selected ? node : { ...node, selected };
      }),
    );
  }, []);
  const elementOf = useCallback((id) => box.current.querySelector(`.react-flow__node[data-id="${id}"]`), []);
  const placeOf = useCallback(
    (id) => {
      const card = elementOf(id)?.getBoundingClientRect();
      const room = box.current.getBoundingClientRect();
      return card && { x: card.left + card.width / 2 - room.left, y: card.bottom - room.top };
    },
    [elementOf],
  );
  const lookAt = useCallback(
    (id, always) => {
      const card = elementOf(id)?.getBoundingClientRect();
      const room = box.current.getBoundingClientRect();
      const inside =
        card &&
        card.left >= room.left &&
        card.right <= room.right &&
        card.top >= room.top &&
        card.bottom <= room.bottom;
      if (inside && !always) return;
      const node = flow.getNode(String(id));
      if (!node) return;
      const zoom = Math.max(flow.getZoom(), 0.5);
      const { width = WIDTH, height = HEIGHT } = node.measured ?? {};
      flow.setCenter(node.position.x + width / 2, node.position.y + height / 2, { zoom, duration: quick() });
    },
    [elementOf, flow],
  );

  // --- doing ----------------------------------------------------------------------------------------------
  const open = useCallback(
    ({ url }) => element.dispatchEvent(new CustomEvent("dex:open-node", { bubbles: true, detail: { url } })),
    [element],
  );
  const targets = useCallback((id) => {
    const { chosen: all, nodes: every } = latest.current;
    if (id && !all.some((node) => node.id === String(id))) return every.filter((node) => node.id === String(id));
    return all;
  }, []);
  const unlink = useCallback(() => {
    const edge = latest.current.edges.find(({ id }) => id === latest.current.chosenLink);
    if (!edge) return;
    const { up, down, implied, names, reason } = edge.data;
    if (implied) {
      refuse(`${names[0]} runs before ${names[1]} because ${reason}. That order is in the models' refs.`);
      return;
    }
    board.do([{ op: "unlink", up, down }], { said: `Removed the link ${names[0]} → ${names[1]}` });
    setChosenLink(null);
    if (home.current) elementOf(home.current)?.focus();
    setToast({ text: `Removed ${names[0]} → ${names[1]}.`, undo: () => board.undo() });
    say(`Removed the link from ${names[0]} to ${names[1]}`);
  }, [board, elementOf, refuse]);
  const remove = useCallback(
    (id) => {
      if (latest.current.chosenLink) return unlink();
      flush();
      const gone = targets(id);
      if (!gone.length) return undefined;
      const what = gone.length === 1 ? gone[0].data.step.name : `${gone.length} steps`;
      const next = latest.current.nodes.find((node) => !gone.includes(node));
      board.do(
        idsOf(gone).map((node) => ({ op: "delete", node })),
        { said: `Deleted ${what}` },
      );
      setToast({ text: `Deleted ${what}.`, undo: () => board.undo() });
      say(`Deleted ${what}. Control Z brings it back.`);
      if (next) elementOf(next.id)?.focus();
      else box.current.focus();
      return undefined;
    },
    [board, elementOf, flush, targets, unlink],
  );
  const duplicate = useCallback(() => {
    flush();
    const copied = targets(latest.current.focused);
    const what = copied.length === 1 ? copied[0].data.step.name : `${copied.length} steps`;
    const taken = latest.current.nodes.map((node) => node.position);
    const operations = copied.map((node) => {
      const { x } = node.position;
      let y = node.position.y + HEIGHT + 24;
      while (taken.some((place) => Math.abs(place.x - x) < WIDTH && Math.abs(place.y - y) < HEIGHT)) y += HEIGHT + 24;
      taken.push({ x, y });
      return { op: "duplicate", node: Number(node.id), x: Math.round(x), y: Math.round(y) };
    });
    board.do(operations, { said: `Duplicated ${what}` });
  }, [board, flush, targets]);
  const arrange = useCallback(() => {
    flush();
    board.do([{ op: "arrange" }], { said: "Arranged the steps" });
  }, [board, flush]);
  const unfold = useCallback(
    (id) =>
      setUnfolded((old) => {
        const now = new Set(old);
        if (!now.delete(id)) now.add(id);
        return now;
      }),
    [],
  );
  const pressPort = useCallback(
    (event, id, isSource) => {
      event.stopPropagation();
      const now = latest.current.linking;
      if (now?.by === "choice") finish(id, placeOf(id));
      else start(id, !isSource, "choice");
    },
    [finish, placeOf, start],
  );
  const actions = useMemo(() => ({ open, unfold, pressPort }), [open, unfold, pressPort]);

  // --- what the server said -------------------------------------------------------------------------------
  hear.current = (event, detail) => {
    if (event === "refused") {
      refuse(detail.error, detail.step.at);
      setToast(null);
      if (detail.forbidden) board.load();
      return;
    }
    if (event !== "saved") return;
    const { step, canvas: now, before } = detail;
    if (step.what === "do") {
      if (now.said) say(now.said);
      if (step.operations[0].op === "duplicate") chooseNew(now, before);
      if (step.operations[0].op === "arrange") requestAnimationFrame(() => flow.fitView({ ...FIT, duration: quick() }));
    } else {
      const words = `${step.what === "undo" ? "Undone" : "Redone"}: ${step.entry?.said ?? "the last change"}`;
      setToast({ text: `${words}.` });
      say(words);
    }
  };
  const wanted = useRef(null); // ids that are to be chosen as soon as they are drawn
  function chooseNew(now, before) {
    const known = new Set(before.nodes.map((node) => node.id));
    wanted.current = now.nodes.map((node) => node.id).filter((id) => !known.has(id));
  }
  useEffect(() => {
    const ids = wanted.current;
    if (!ids?.length || !ids.every((id) => nodes.some((node) => node.id === String(id)))) return;
    wanted.current = null;
    choose((node) => ids.includes(Number(node.id)));
    requestAnimationFrame(() => {
      elementOf(ids[0])?.focus({ preventScroll: true });
      lookAt(ids[0]);
    });
  }, [nodes, choose, elementOf, lookAt]);

  // --- what the page says ---------------------------------------------------------------------------------
  useEffect(() => {
    element.dispatchEvent(new CustomEvent("dex:canvas-changed", { bubbles: true, detail: canvas }));
  }, [element, canvas]);
  useEffect(() => {
    const changed = (event) => board.load(event.detail?.version_before);
    const focus = (event) => {
      const id = Number(event.detail.id);
      choose((node) => node.id === String(id));
      lookAt(id, true);
      elementOf(id)?.focus({ preventScroll: true });
    };
    document.addEventListener("dex:flow-changed", changed);
    document.addEventListener("dex:focus-node", focus);
    return () => {
      document.removeEventListener("dex:flow-changed", changed);
      document.removeEventListener("dex:focus-node", focus);
    };
  }, [board, choose, elementOf, lookAt]);

  // --- keys -----------------------------------------------------------------------------------------------
  const acts = {
    undo: used(() => {
      flush();
      board.undo();
    }),
    redo: used(() => board.redo()),
    duplicate: used(() => canvas.may_edit && duplicate()),
    chooseAll: used(() => choose(() => true)),
    escape: () => {
      if (linking) cancel();
      else if (refused) setRefused(null);
      else if (chosenLink) {
        setChosenLink(null);
        if (home.current) elementOf(home.current)?.focus();
      } else if (chosen.length) choose(() => false);
      else return false;
      return true;
    },
    showKeys: used(() => setKeysShown(true)),
    zoomIn: used(() => flow.zoomIn({ duration: quick() })),
    zoomOut: used(() => flow.zoomOut({ duration: quick() })),
    fit: used(() => flow.fitView({ ...FIT, duration: quick() })),
    nudge: used((id, x, y) => {
      const moving = targets(id).map((node) => node.id);
      if (canvas.may_edit && moving.length) nudge(moving, x, y);
    }),
    remove: used((id) => canvas.may_edit && remove(id)),
    unlink: used(() => canvas.may_edit && unlink()),
    enter: used((id) => {
      if (linking) finish(id, placeOf(id));
      else open(canvas.nodes.find((step) => step.id === id));
    }),
    choose: used((id) => {
      const own = String(id);
      choose((node) => (node.id === own ? !node.selected : Boolean(node.selected)));
    }),
    startLink: used((id) => canvas.may_edit && start(id, false, "choice")),
    unfold: used((id) => canvas.nodes.find((step) => step.id === id)?.models.length && unfold(id)),
    walkEdges: used((id) => {
      home.current = id;
      showEdge(id, 0);
    }),
    nextEdge: used(() => showEdge(home.current, 1)),
  };
  function showEdge(id, by) {
    const own = edges.filter(({ data }) => data.up === id || data.down === id);
    if (!own.length) {
      say("No links");
      return;
    }
    const at = own.findIndex((edge) => edge.id === chosenLink);
    const edge = own[(at + by + own.length) % own.length] ?? own[0];
    choose(() => false);
    setChosenLink(edge.id);
    box.current.querySelector(`.react-flow__edge[data-id="${edge.id}"]`)?.focus();
  }
  const press = useRef(null);
  press.current = (event) => {
    const { target } = event;
    if (event.defaultPrevented || target.closest?.("dialog, input, select, textarea")) return;
    const inside = box.current.contains(target);
    if (!inside && target !== document.body) return;
    if ((event.key === "Enter" || event.key === " ") && target.closest("a, button")) return;
    const node = target.closest(".react-flow__node")?.dataset.id;
    const edge = target.closest(".react-flow__edge")?.dataset.id;
    if (pressed(event, { node: node && Number(node), edge }, inside, acts)) event.preventDefault();
  };
  useEffect(() => {
    const listen = (event) => press.current(event);
    document.addEventListener("keydown", listen);
    return () => document.removeEventListener("keydown", listen);
  }, []);
  const onFocus = useCallback(
    (event) => {
      const card = event.target.closest(".react-flow__node");
      setFocused(card ? Number(card.dataset.id) : null);
      if (card === event.target && card.matches(":focus-visible")) lookAt(card.dataset.id);
    },
    [lookAt],
  );

  // --- the hands ------------------------------------------------------------------------------------------
  const where = useCallback((event) => {
    const room = box.current.getBoundingClientRect();
    const point = event.changedTouches?.[0] ?? event;
    return { x: point.clientX - room.left, y: point.clientY - room.top };
  }, []);
  const onConnectEnd = useCallback(
    (event, { isValid, toNode }) => {
      const from = latest.current.linking;
      stop();
      if (isValid || !from) return;
      const point = event.changedTouches?.[0] ?? event;
      const below = document.elementFromPoint(point.clientX, point.clientY)?.closest(".react-flow__node");
      const id = Number(toNode?.id ?? below?.dataset.id);
      if (id && id !== from.from) link(...(from.backwards ? [id, from.from] : [from.from, id]), where(event));
    },
    [link, stop, where],
  );
  const mayEdit = canvas.may_edit;
  const closeToast = useCallback(() => setToast(null), []);
  const closeRefusal = useCallback(() => setRefused(null), []);

  return (
    <div className={`canvas-box ${linking ? `linking ${linking.backwards ? "backwards" : ""}` : ""}`} ref={box} tabIndex={-1} onFocus={onFocus}>
      <Actions.Provider value={actions}>
        <ReactFlow
          aria-label={`Canvas of ${canvas.flow.name}`}
          nodes={nodes}
          edges={edges}
          nodeTypes={NODE_TYPES}
          edgeTypes={EDGE_TYPES}
          onNodesChange={useCallback((changes) => setNodes((old) => applyNodeChanges(changes, old)), [])}
          onNodeClick={(event, node) => {
            setChosenLink(null);
            if (linking?.by === "choice") finish(Number(node.id), where(event));
          }}
          onNodeDoubleClick={(event, node) => event.target.closest("a, button") || open(node.data.step)}
          onNodeDragStart={flush}
          onNodeDragStop={(_, __, moved) => saveMoves(moved)}
          onSelectionDragStop={(_, moved) => saveMoves(moved)}
          onSelectionStart={() => setChosenLink(null)}
          onEdgeClick={(_, edge) => {
            home.current = null;
            choose(() => false);
            setChosenLink(edge.id);
          }}
          onPaneClick={() => {
            setChosenLink(null);
            setRefused(null);
            if (linking) cancel();
          }}
          onConnectStart={(_, { nodeId, handleType }) => start(Number(nodeId), handleType === "target", "drag")}
          onConnect={({ source, target }) => link(Number(source), Number(target))}
          onConnectEnd={onConnectEnd}
          isValidConnection={({ source, target }) => !whyNot(latest.current.canvas, Number(source), Number(target))}
          connectOnClick={false}
          connectionRadius={32}
          nodesDraggable={mayEdit}
          nodesConnectable={mayEdit}
          nodesFocusable
          edgesFocusable={false}
          disableKeyboardA11y
          deleteKeyCode={null}
          multiSelectionKeyCode={SEVERAL}
          snapToGrid
          snapGrid={GRID}
          zoomOnDoubleClick={false}
          minZoom={0.15}
          maxZoom={2}
          fitView
          fitViewOptions={FIT}
          ariaLabelConfig={LABELS}
          attributionPosition="bottom-right"
        >
          <Background gap={24} size={1.5} />
          <Toolbar board={board} snapshot={snapshot} arrange={arrange} showKeys={() => setKeysShown(true)} />
          <SaveState board={board} snapshot={snapshot} />
          <Zoom fit={acts.fit} />
          {canvas.nodes.length > 0 && (
            <MiniMap pannable zoomable nodeClassName={minimapClass} nodeBorderRadius={12} className="minimap" />
          )}
          <SelectionBar
            linking={linking}
            steps={chosen.map((node) => node.data.step)}
            link={link_}
            mayEdit={mayEdit}
            acts={{ open, duplicate, remove, unlink, cancelLink: cancel, startLink: (id) => start(id, false, "choice") }}
          />
        </ReactFlow>
      </Actions.Provider>
      {!canvas.nodes.length && <Empty canvas={canvas} open={open} />}
      <Toast toast={toast} close={closeToast} />
      <Refusal refusal={refused} close={closeRefusal} />
      <Conflict conflict={snapshot.conflict} board={board} />
      <Shortcuts shown={keysShown} mayEdit={mayEdit} close={() => setKeysShown(false)} />
      <p id="canvas-keys" hidden>
        Enter opens{mayEdit && ", arrow keys move, L links, Delete removes"}, E walks the links. Question mark lists all
        keys.
      </p>
      <p role="status" className="visually-hidden">
        {said}
      </p>
    </div>
  );
}

function used(act) {
  return (...what) => {
    act(...what);
    return true;
  };
}
