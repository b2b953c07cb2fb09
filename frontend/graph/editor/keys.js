const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP = 8;
const LEAP = 32;

/**
 * What a key means on the canvas. `focus` says what has the focus: {node}, {edge}, or nothing of the two. Returns
 * whether the key was used. Keys without Ctrl count only while the focus is inside the canvas.
 */
export function pressed(event, focus, inside, acts) {
  const control = event.ctrlKey || event.metaKey;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (control) return withControl(key, event.shiftKey, focus.node, acts);
  if (!inside || event.altKey) return false;
  if (key === "Escape") return acts.escape();
  if (key === "?") return acts.showKeys();
  if (focus.edge) return onEdge(key, acts);
  if (ARROWS[key]) {
    const far = event.shiftKey ? LEAP : STEP;
    const [x, y] = ARROWS[key];
    return acts.nudge(focus.node, x * far, y * far);
  }
  const plain = { "+": acts.zoomIn, "=": acts.zoomIn, "-": acts.zoomOut, f: acts.fit }[key];
  if (plain) return plain();
  if (key === "Delete" || key === "Backspace") return acts.remove(focus.node);
  return focus.node ? onNode(key, focus.node, event.shiftKey, acts) : false;
}

function withControl(key, shift, node, acts) {
  if (key === "z") return shift ? acts.redo() : acts.undo();
  const act = { y: acts.redo, d: acts.duplicate, a: acts.chooseAll }[key];
  return act ? act(node) : false;
}

function onEdge(key, acts) {
  if (key === "Delete" || key === "Backspace") return acts.unlink();
  return key === "e" ? acts.nextEdge() : false;
}

function onNode(key, node, shift, acts) {
  if (key === "Enter") return acts.enter(node);
  if (key === " ") return acts.choose(node, shift);
  const act = { l: acts.startLink, m: acts.unfold, e: acts.walkEdges }[key];
  return act ? act(node) : false;
}
