import { useEffect, useState } from "react";

const CALM = 20_000;
const BUSY = 3_000;
const MOVING = new Set(["pending", "queued", "running", "waiting"]);

/** The state of each node in the latest run, asked for again while the page is looked at. */
export function useStates(server) {
  const [states, setStates] = useState({});
  useEffect(() => {
    let timer;
    let gone = false;
    async function ask() {
      clearTimeout(timer);
      const answer = document.hidden ? {} : await server.states();
      if (gone) return;
      let busy = false;
      if (answer.kind === "loaded") {
        const { nodes } = answer.json;
        setStates((old) => (JSON.stringify(old) === JSON.stringify(nodes) ? old : nodes));
        busy = Object.values(nodes).some(({ state }) => MOVING.has(state));
      }
      timer = setTimeout(ask, busy ? BUSY : CALM);
    }
    const look = () => document.hidden || ask();
    document.addEventListener("visibilitychange", look);
    ask();
    return () => {
      gone = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [server]);
  return states;
}
