/** Who is next to whom, and who lies up and down from where. */
export function neighboursOf(edges) {
  const parents = new Map();
  const children = new Map();
  const add = (map, key, value) => (map.get(key) ?? map.set(key, []).get(key)).push(value);
  for (const [up, down] of edges) {
    add(parents, down, up);
    add(children, up, down);
  }
  return { parents, children };
}

/** All that can be reached from a node, the node itself left out. */
export function reach(next, start) {
  const found = new Set();
  const queue = [start];
  for (const id of queue) {
    for (const other of next.get(id) ?? []) {
      if (!found.has(other)) {
        found.add(other);
        queue.push(other);
      }
    }
  }
  found.delete(start);
  return found;
}
