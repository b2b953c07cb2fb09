/**
 * Where an arrow key leads from a node: left and right along the edges, up and down within the column. `trail` are the
 * nodes passed so far, newest last: going back leads where one came from.
 */
export function step(key, from, { parents, children, at }, trail) {
  const next = { ArrowLeft: parents, ArrowRight: children }[key];
  if (next) {
    const choices = next.get(from) ?? [];
    const passed = [...trail].reverse().find((id) => choices.includes(id));
    return passed ?? nearest(choices, from, at);
  }
  const { x, y } = at.get(from);
  const below = key === "ArrowDown";
  let found = null;
  for (const [id, place] of at) {
    if (place.x !== x || (below ? place.y <= y : place.y >= y)) continue;
    if (!found || Math.abs(place.y - y) < Math.abs(at.get(found).y - y)) found = id;
  }
  return found;
}

function nearest(ids, from, at) {
  const { y } = at.get(from);
  return ids.reduce((best, id) => {
    const closer = best === null || Math.abs(at.get(id).y - y) < Math.abs(at.get(best).y - y);
    return closer ? id : best;
  }, null);
}
