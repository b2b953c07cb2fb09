// The two pictures of dex: the editor of a flow and the read-only graph. A page says where by an element, and gets the
// rest from the addresses in its data attributes.
import { createRoot } from "react-dom/client";
import "@xyflow/react/dist/base.css";
import "./graph.css";
import { Editor } from "./editor/editor.jsx";
import { Lineage } from "./lineage/lineage.jsx";

/** The canvas of a flow; data-url, data-states-url and data-csrf say which. */
export function mountEditor(element) {
  return mount(element, <Editor element={element} />);
}

/** A graph to look at; data-graph-url says which. */
export function mountGraph(element) {
  return mount(element, <Lineage element={element} />);
}

function mount(element, picture) {
  const root = createRoot(element);
  root.render(picture);
  return () => root.unmount();
}
