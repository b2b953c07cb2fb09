// The page of a flow: the canvas, the list of its nodes beside it, and the panel with the form of one of them.
import { mountEditor } from "../vendor/graph.js";
import { Panel } from "./panel.js";
import { Nodes } from "./nodes.js";

const editor = document.getElementById("editor");
const canvas = document.getElementById("canvas");
const panel = new Panel(document.getElementById("panel"));
const nodes = new Nodes(editor.querySelector(".editor-nodes"), canvas, panel);

// --- one of the two at a time on small screens --------------------------------------------------------------
const views = document.createElement("div");
views.className = "editor-views";
views.setAttribute("role", "group");
views.setAttribute("aria-label", "View");
for (const [name, label] of [["canvas", "Canvas"], ["nodes", "Nodes"]]) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.addEventListener("click", () => show(name));
  button.dataset.view = name;
  views.append(button);
}
editor.before(views);

function show(name) {
  editor.dataset.view = name;
  for (const button of views.children) button.setAttribute("aria-pressed", String(button.dataset.view === name));
}
show("canvas");

// --- what they tell each other -------------------------------------------------------------------------------
canvas.addEventListener("dex:canvas-changed", ({ detail }) => {
  nodes.draw(detail);
  panel.follow(detail);
});
canvas.addEventListener("dex:open-node", ({ detail }) => panel.open(detail.url));
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-open-node]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  link.closest("details.menu")?.removeAttribute("open");
  panel.open(link.href);
});

mountEditor(canvas);
