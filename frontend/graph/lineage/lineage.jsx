import { useEffect, useState } from "react";
import { ReactFlowProvider } from "@xyflow/react";
import { Icon } from "../icon.jsx";
import { Graph } from "./graph.jsx";

/** A graph that is only looked at: the lineage of a model. */
export function Lineage({ element }) {
  const [graph, setGraph] = useState(null);
  const [failed, setFailed] = useState(false);
  const [tries, setTries] = useState(0);
  useEffect(() => {
    const leaving = new AbortController();
    fetch(element.dataset.graphUrl, { headers: { Accept: "application/json" }, signal: leaving.signal })
      .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(answer.statusText))))
      .then(setGraph)
      .catch((error) => error.name === "AbortError" || setFailed(true));
    return () => leaving.abort();
  }, [element, tries]);

  // A run that goes on: its page says which cards took another state.
  useEffect(() => {
    const moved = ({ detail }) =>
      setGraph((old) => {
        const now = (node) => (detail[node.id] && detail[node.id] !== node.state ? { ...node, state: detail[node.id] } : node);
        return old && { ...old, nodes: old.nodes.map(now) };
      });
    document.addEventListener("dex:states", moved);
    return () => document.removeEventListener("dex:states", moved);
  }, []);

  if (failed) {
    return (
      <div className="canvas-wait">
        <p>The graph could not be loaded.</p>
        <button
          type="button"
          className="button"
          onClick={() => {
            setFailed(false);
            setTries(tries + 1);
          }}
        >
          <Icon name="refresh-cw" />
          Retry
        </button>
      </div>
    );
  }
  if (!graph) return <p className="canvas-wait muted">Loading the graph…</p>;
  return (
    <ReactFlowProvider>
      <Graph graph={graph} element={element} />
    </ReactFlowProvider>
  );
}
