import { useMemo, useState } from "react";
import { Panel } from "@xyflow/react";
import { IconButton } from "../button.jsx";
import { Icon } from "../icon.jsx";

/** Find a model by a part of its name or by its tag; Enter goes from match to match. */
export function Search({ nodes, go }) {
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const found = useMemo(() => matches(nodes, typed), [nodes, typed]);

  function type(text) {
    setTyped(text);
    setAt(0);
    const [first] = matches(nodes, text);
    if (first) go(first.id);
  }

  function walk(step) {
    if (!found.length) return;
    const next = (at + step + found.length) % found.length;
    setAt(next);
    go(found[next].id);
  }

  function press(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      walk(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape" && typed) {
      event.stopPropagation();
      setTyped("");
    }
  }

  return (
    <Panel position="top-left" className="tools lineage-search">
      <Icon name="search" />
      <input
        type="search"
        aria-label="Search the graph"
        placeholder="Name or tag"
        value={typed}
        onChange={(event) => type(event.target.value)}
        onKeyDown={press}
      />
      <span className="lineage-found" role="status">
        {typed && (found.length ? `${at + 1} of ${found.length}` : "None")}
      </span>
      {found.length > 1 && (
        <>
          <IconButton icon="arrow-up" label="Previous match" keys="Shift+Enter" onClick={() => walk(-1)} />
          <IconButton icon="arrow-down" label="Next match" keys="Enter" onClick={() => walk(1)} />
        </>
      )}
    </Panel>
  );
}

function matches(nodes, typed) {
  const wanted = typed.trim().toLowerCase();
  if (!wanted) return [];
  const bare = wanted.replace(/^tag:/, "");
  return nodes.filter(
    ({ name, tags }) => name.toLowerCase().includes(wanted) || tags?.some((tag) => tag.toLowerCase() === bare),
  );
}
