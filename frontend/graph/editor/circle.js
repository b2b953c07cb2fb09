/** The way from one node to another along links and implied order, as ids with both ends; null when there is none. */
export function way(canvas, from, to) {
  const next = new Map();
  for (const { up, down } of [...canvas.links, ...canvas.implied]) {
    if (!next.has(up)) next.set(up, []);
    next.get(up).push(down);
  }
  const cameFrom = new Map([[from, null]]);
  const queue = [from];
  for (const node of queue) {
    if (node === to) {
      const back = [];
      for (let at = to; at !== null; at = cameFrom.get(at)) back.push(at);
      return back.reverse();
    }
    for (const down of next.get(node) ?? []) {
      if (!cameFrom.has(down)) {
        cameFrom.set(down, node);
        queue.push(down);
      }
    }
  }
  return null;
}

/** Why `up` cannot be linked to `down`, in words; empty when it can. */
export function refusal(canvas, up, down) {
  const name = (id) => canvas.nodes.find((node) => node.id === id)?.name ?? "?";
  if (up === down) return `${name(up)} cannot run after itself.`;
  if (canvas.links.some((link) => link.up === up && link.down === down)) {
    return `${name(down)} already runs after ${name(up)}.`;
  }
  const back = way(canvas, down, up);
  if (!back) return "";
  const circle = [up, ...back].map(name).join(" → ");
  return `${name(down)} already runs before ${name(up)}, so this would create a cycle: ${circle}.`;
}
