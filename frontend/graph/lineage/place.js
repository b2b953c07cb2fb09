// The size of a card of the graph, in its own pixels; the server keeps them apart.
export const WIDTH = 220;
export const HEIGHT = 40;

/** The rectangle around all nodes. */
export function boundsOf(nodes) {
  const xs = nodes.map(({ x }) => x);
  const ys = nodes.map(({ y }) => y);
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return { x, y, width: Math.max(...xs) + WIDTH - x, height: Math.max(...ys) + HEIGHT - y };
}

/** The node whose card is at a point of the graph. */
export function nodeAt(nodes, { x, y }) {
  return nodes.find((node) => x >= node.x && x <= node.x + WIDTH && y >= node.y && y <= node.y + HEIGHT);
}
