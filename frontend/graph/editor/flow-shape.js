import { count } from "../count.js";
import { stateWord } from "../states.js";
import { refusal } from "./circle.js";

export const WIDTH = 224;
export const HEIGHT = 100;

/**
 * The canvas as React Flow's nodes. What did not change keeps its identity, so that only the cards that differ are
 * drawn again; `held` are nodes that a hand is moving, which stay where the hand has them.
 */
export function toNodes(canvas, { old, states, unfolded, linking, held }) {
  const before = new Map(old.map((node) => [node.id, node]));
  const up = namesBy(canvas, "down", "up");
  return canvas.nodes.map((node) => {
    const id = String(node.id);
    const kept = before.get(id);
    const data = {
      node,
      state: states[id]?.state ?? "",
      runUrl: states[id]?.run_url ?? "",
      unfolded: unfolded.has(node.id),
      mayEdit: canvas.may_edit,
    };
    const drawn = {
      id,
      type: "node",
      position: kept && (kept.dragging || held.has(id)) ? kept.position : { x: node.x, y: node.y },
      data: kept && sameData(kept.data, data) ? kept.data : data,
      className: linking ? linkClass(canvas, linking, node.id) : "",
      ariaLabel: described(node, data.state, up.get(node.id)),
      domAttributes: NODE_ATTRIBUTES,
    };
    if (!kept) return { ...drawn, initialWidth: WIDTH, initialHeight: HEIGHT };
    const same =
      kept.data === drawn.data &&
      kept.position.x === drawn.position.x &&
      kept.position.y === drawn.position.y &&
      kept.className === drawn.className &&
      kept.ariaLabel === drawn.ariaLabel;
    return same ? kept : { ...kept, ...drawn };
  });
}

/** Links and implied order as React Flow's edges; where both are, the link is drawn and knows the reason too. */
export function toEdges(canvas, chosen, preview) {
  const name = new Map(canvas.nodes.map((node) => [node.id, node.name]));
  const reasons = new Map(canvas.implied.map((order) => [`${order.up}-${order.down}`, order.reason]));
  const linked = new Set(canvas.links.map(({ up, down }) => `${up}-${down}`));
  const edge = ({ up, down }, implied) => {
    const pair = `${up}-${down}`;
    const id = implied ? `implied-${pair}` : pair;
    const reason = reasons.get(pair) ?? "";
    return {
      id,
      source: String(up),
      target: String(down),
      type: "link",
      className: implied ? "implied" : "",
      selected: chosen === id,
      data: { up, down, implied, reason, names: [name.get(up), name.get(down)] },
      ariaLabel: `${name.get(up)} runs before ${name.get(down)}${reason && `, because ${reason}`}`,
      domAttributes: EDGE_ATTRIBUTES,
    };
  };
  return [
    ...canvas.links.map((link) => edge(link, false)),
    ...canvas.implied.filter(({ up, down }) => !linked.has(`${up}-${down}`)).map((order) => edge(order, true)),
    ...(preview ? [PREVIEW(preview)] : []),
  ];
}

const NODE_ATTRIBUTES = { "aria-roledescription": "node", "aria-describedby": "canvas-keys" };
const EDGE_ATTRIBUTES = { tabIndex: -1, "aria-roledescription": "link" };
const PREVIEW = ({ up, down }) => ({
  id: "preview",
  source: String(up),
  target: String(down),
  type: "link",
  className: "preview",
  selectable: false,
  data: { names: [], reason: "" },
  ariaLabel: null,
});

// Models are compared by their number: a card that shows them is drawn again when they change in any other way too,
// because then its detail or its number of tasks changes with them.
function sameData(a, b) {
  const { models: mine, ...node } = a.node;
  const { models: other, ...next } = b.node;
  return (
    a.state === b.state &&
    a.runUrl === b.runUrl &&
    a.unfolded === b.unfolded &&
    a.mayEdit === b.mayEdit &&
    Object.keys(next).every((key) => key === "x" || key === "y" || node[key] === next[key]) &&
    mine.length === other.length &&
    (!a.unfolded || mine.every((model, at) => model.id === other[at].id))
  );
}

function namesBy(canvas, key, other) {
  const name = new Map(canvas.nodes.map((node) => [node.id, node.name]));
  const names = new Map();
  for (const link of [...canvas.links, ...canvas.implied]) {
    if (!names.has(link[key])) names.set(link[key], new Set());
    names.get(link[key]).add(name.get(link[other]));
  }
  return names;
}

function described(node, state, after) {
  const parts = [node.name, node.kind_label, count(node.tasks, "task")];
  if (state) parts.push(stateWord(state));
  if (node.problem) parts.push(`problem: ${node.problem}`);
  if (after) parts.push(`runs after ${[...after].join(", ")}`);
  return parts.join(", ");
}

function linkClass(canvas, { from, backwards }, id) {
  if (id === from) return "link-from";
  const [up, down] = backwards ? [id, from] : [from, id];
  return refusal(canvas, up, down) ? "link-never" : "link-maybe";
}
