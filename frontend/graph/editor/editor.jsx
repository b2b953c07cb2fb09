import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { ReactFlowProvider } from "@xyflow/react";
import { Icon } from "../icon.jsx";
import { Board } from "./board.js";
import { Canvas } from "./canvas.jsx";
import { serverOf } from "./server.js";

/** The canvas of a flow, from the first question to the server on. */
export function Editor({ element }) {
  const hear = useRef(() => {});
  const server = useMemo(() => serverOf(element), [element]);
  const board = useMemo(() => new Board(server, (...what) => hear.current(...what)), [server]);
  const snapshot = useSyncExternalStore(board.subscribe, board.getSnapshot);
  useEffect(() => void board.load(), [board]);
  useLeaving(snapshot.status);
  useComingBack(board);

  if (snapshot.status === "loading") {
    return <p className="canvas-wait muted">Loading the canvas…</p>;
  }
  if (snapshot.status === "failed") {
    return (
      <div className="canvas-wait">
        <p>The canvas could not be loaded. The flow is unchanged.</p>
        <button type="button" className="button" onClick={() => board.retry()}>
          <Icon name="refresh-cw" />
          Retry
        </button>
      </div>
    );
  }
  return (
    <ReactFlowProvider>
      <Canvas element={element} server={server} board={board} snapshot={snapshot} hear={hear} />
    </ReactFlowProvider>
  );
}

// The browser asks before it leaves a page that holds what the server does not.
function useLeaving(status) {
  useEffect(() => {
    if (status === "saved" || status === "loading" || status === "failed") return undefined;
    const ask = (event) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [status]);
}

// Back in the network, waiting changes are sent; back in this tab, what others did meanwhile is fetched.
function useComingBack(board) {
  useEffect(() => {
    const online = () => board.retry();
    const seen = () => {
      if (!document.hidden && board.snapshot.status === "saved") board.load();
    };
    addEventListener("online", online);
    document.addEventListener("visibilitychange", seen);
    return () => {
      removeEventListener("online", online);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [board]);
}
