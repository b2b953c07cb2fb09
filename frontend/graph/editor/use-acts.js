import { useMemo } from "react";
import { HEIGHT, WIDTH } from "./flow-shape.js";

const APART = 24;

/**
 * What can be done to the flow, each as one step of the board. `now()` gives what is on the canvas at the moment:
 * {canvas, nodes, chosen, chosenLink}, where chosenLink is the data of an edge.
 */
export function useActs({ board, now, flush, say, refuse, setToast, focusAfter, chooseLink }) {
  return useMemo(() => {
    const undoable = (text) => {
      setToast({ text: `${text}.`, undo: () => board.undo() });
      say(`${text}. Press Control Z to undo.`);
    };
    const named = (nodes) => (nodes.length === 1 ? nodes[0].data.node.name : `${nodes.length} nodes`);

    /** The chosen nodes, or this one if it is not among them. */
    function concerned(id) {
      const { nodes, chosen } = now();
      const own = String(id ?? "");
      if (!id || chosen.some((node) => node.id === own)) return chosen;
      return nodes.filter((node) => node.id === own);
    }

    function move(moved) {
      const were = new Map(now().canvas.nodes.map((node) => [String(node.id), node]));
      const operations = moved
        .map(({ id, position: { x, y } }) => ({ op: "move", node: Number(id), x: Math.round(x), y: Math.round(y) }))
        .filter(({ node, x, y }) => {
          const was = were.get(String(node));
          return was && (was.x !== x || was.y !== y);
        });
      const [first] = operations;
      const what = operations.length === 1 ? were.get(String(first.node)).name : `${operations.length} nodes`;
      board.do(operations, { said: `Moved ${what}` });
    }

    function unlink() {
      const { up, down, implied, names, reason } = now().chosenLink;
      if (implied) {
        refuse(`${names[0]} runs before ${names[1]} because of a ref: ${reason}. To remove it, change the models.`);
        return;
      }
      const said = `Removed the link ${names[0]} → ${names[1]}`;
      board.do([{ op: "unlink", up, down }], { said });
      chooseLink(null);
      undoable(said);
    }

    function remove(id) {
      flush();
      const gone = concerned(id);
      if (!gone.length) return;
      const said = `Deleted ${named(gone)}`;
      focusAfter(gone);
      board.do(
        gone.map((node) => ({ op: "delete", node: Number(node.id) })),
        { said },
      );
      undoable(said);
    }

    function duplicate(id) {
      flush();
      const copied = concerned(id);
      const taken = now().nodes.map((node) => node.position);
      const isFree = (x, y) =>
        !taken.some((place) => Math.abs(place.x - x) < WIDTH && Math.abs(place.y - y) < HEIGHT);
      const operations = copied.map((node) => {
        const x = Math.round(node.position.x);
        let y = Math.round(node.position.y) + HEIGHT + APART;
        while (!isFree(x, y)) y += HEIGHT + APART;
        taken.push({ x, y });
        return { op: "duplicate", node: Number(node.id), x, y };
      });
      if (operations.length) board.do(operations, { said: `Duplicated ${named(copied)}` });
    }

    function arrange() {
      flush();
      board.do([{ op: "arrange" }], { said: "Arranged the nodes" });
    }

    function undo() {
      flush();
      board.undo();
    }

    return { concerned, move, unlink, remove, duplicate, arrange, undo, redo: () => board.redo() };
  }, [board, now, flush, say, refuse, setToast, focusAfter, chooseLink]);
}
