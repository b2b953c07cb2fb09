/** The canvas as it will be once these operations are saved, as far as the browser can know it. */
export function applied(canvas, operations) {
  return operations.reduce(one, canvas);
}

function one(canvas, operation) {
  switch (operation.op) {
    case "move":
      return {
        ...canvas,
        nodes: canvas.nodes.map((node) =>
          node.id === operation.node ? { ...node, x: operation.x, y: operation.y } : node,
        ),
      };
    case "link":
      return { ...canvas, links: [...canvas.links, { up: operation.up, down: operation.down }] };
    case "unlink":
      return {
        ...canvas,
        links: canvas.links.filter((link) => link.up !== operation.up || link.down !== operation.down),
      };
    case "delete": {
      const stays = (link) => link.up !== operation.node && link.down !== operation.node;
      return {
        ...canvas,
        nodes: canvas.nodes.filter((node) => node.id !== operation.node),
        links: canvas.links.filter(stays),
        implied: canvas.implied.filter(stays),
      };
    }
    default:
      return canvas; // a copy, an arrangement, an old version: only the server knows how it looks
  }
}

/** Those of the operations whose nodes are still there. */
export function stillPossible(canvas, operations) {
  const there = new Set(canvas.nodes.map((node) => node.id));
  return operations.filter(({ node, up, down }) =>
    [node, up, down].every((id) => id === undefined || there.has(id)),
  );
}
