import { useMemo } from "react";
import { useReactFlow } from "@xyflow/react";
import { quick } from "../motion.js";
import { HEIGHT, WIDTH } from "./flow-shape.js";

const READABLE = 0.6;

/** Where things are on the screen: all in pixels of the canvas element `box`. */
export function useViewport(box) {
  const flow = useReactFlow();
  return useMemo(() => {
    const cardOf = (id) => box.current.querySelector(`.react-flow__node[data-id="${id}"]`);
    const edgeOf = (id) => box.current.querySelector(`.react-flow__edge[data-id="${id}"]`);
    const room = () => box.current.getBoundingClientRect();

    function isInView(id) {
      const card = cardOf(id)?.getBoundingClientRect();
      const { left, right, top, bottom } = room();
      return card && card.left >= left && card.right <= right && card.top >= top && card.bottom <= bottom;
    }

    /** Show a card that is not in view, or `always` put it into the middle. */
    function lookAt(id, always = false) {
      if (!always && isInView(id)) return;
      const node = flow.getNode(String(id));
      if (!node) return;
      const { width = WIDTH, height = HEIGHT } = node.measured ?? {};
      const { x, y } = node.position;
      const zoom = Math.max(flow.getZoom(), READABLE);
      flow.setCenter(x + width / 2, y + height / 2, { zoom, duration: quick() });
    }

    /** Below the middle of a card, where what is said about it stands. */
    function placeOf(id) {
      const card = cardOf(id)?.getBoundingClientRect();
      const { left, top } = room();
      return card && { x: card.left + card.width / 2 - left, y: card.bottom - top };
    }

    function pointOf(event) {
      const { clientX, clientY } = event.changedTouches?.[0] ?? event;
      const { left, top } = room();
      return { x: clientX - left, y: clientY - top };
    }

    function cardBelow(event) {
      const { clientX, clientY } = event.changedTouches?.[0] ?? event;
      const card = document.elementFromPoint(clientX, clientY)?.closest(".react-flow__node");
      return card ? Number(card.dataset.id) : null;
    }

    const middle = () => ({ x: box.current.clientWidth / 2, y: box.current.clientHeight / 3 });
    return { cardOf, edgeOf, lookAt, placeOf, pointOf, cardBelow, middle };
  }, [box, flow]);
}
