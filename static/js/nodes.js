// The list of a flow's nodes: follows the canvas, can be searched, and opens, duplicates and deletes.
const ACTIONS = [
  ["edit", "pencil", "Edit"],
  ["duplicate", "copy", "Duplicate"],
  ["delete", "trash-2", "Delete"],
];

export class Nodes {
  constructor(section, canvas, panel) {
    this.canvas = canvas;
    this.panel = panel;
    this.list = section.querySelector("#nodes");
    this.search = section.querySelector("#node-search");
    this.none = make("p", { className: "nodes-none muted", hidden: true });
    this.list.after(this.none);
    this.search.addEventListener("input", () => this.filter());
    this.list.addEventListener("click", (event) => this.clicked(event));
    this.list.addEventListener("toggle", (event) => placeMenu(event.target), true);
    section.addEventListener("scroll", () => this.closeMenus(), true);
  }

  draw(canvas) {
    const focused = this.list.contains(document.activeElement) ? placeOf(document.activeElement) : null;
    const there = new Map([...this.list.children].map((item) => [item.dataset.nodeId, item]));
    const items = canvas.nodes.map((node) => {
      const item = there.get(String(node.id));
      const shown = JSON.stringify([node.name, node.kind, node.tasks, node.problem, node.url, canvas.may_edit]);
      if (item?.dataset.shown === shown) return item;
      const made = itemOf(node, canvas.may_edit);
      made.dataset.shown = shown;
      return made;
    });
    const same = items.length === this.list.children.length && items.every((item, at) => item === this.list.children[at]);
    if (!same) this.list.replaceChildren(...items);
    this.filter();
    if (focused && !this.list.contains(document.activeElement)) this.refocus(focused);
  }

  // A node that is gone gives the focus to the next one.
  refocus({ id, at, part }) {
    const item = this.list.querySelector(`[data-node-id="${id}"]`) ?? this.list.children[Math.min(at, this.list.children.length - 1)];
    (item?.querySelector(part) ?? this.search).focus();
  }

  filter() {
    const wanted = this.search.value.trim().toLowerCase();
    let shown = 0;
    for (const item of this.list.children) {
      item.hidden = !item.querySelector(".node-name").textContent.toLowerCase().includes(wanted);
      if (!item.hidden) shown += 1;
    }
    this.none.hidden = shown > 0;
    this.none.textContent = wanted ? "No nodes match." : "No nodes yet.";
  }

  clicked(event) {
    const item = event.target.closest("li.node");
    if (!item || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const action = event.target.closest("[data-action]")?.dataset.action;
    const id = Number(item.dataset.nodeId);
    const name = item.querySelector(".node-name");
    if (!action && !event.target.closest(".node-name")) return;
    event.preventDefault();
    this.closeMenus();
    if (action === "duplicate" || action === "delete") {
      this.canvas.dispatchEvent(new CustomEvent(`dex:${action}-node`, { detail: { id } }));
      return;
    }
    document.dispatchEvent(new CustomEvent("dex:focus-node", { detail: { id, quiet: true } }));
    this.panel.open(name.href, name);
  }

  closeMenus() {
    for (const menu of this.list.querySelectorAll("details[open]")) menu.open = false;
  }
}

function itemOf(node, mayEdit) {
  const item = make("li", { className: `node kind-${node.kind}` });
  item.dataset.nodeId = node.id;
  const name = make("a", { className: "node-name", href: node.url, title: node.name });
  name.append(icon(node.kind_icon), make("span", { className: "cut", textContent: node.name }));
  item.append(name);
  if (node.problem) {
    const problem = make("span", { className: "node-warning", title: node.problem });
    problem.append(icon("triangle-alert"), make("span", { className: "visually-hidden", textContent: `Problem: ${node.problem}` }));
    item.append(problem);
  }
  const tasks = make("span", { className: "badge count", title: `${node.tasks} ${node.tasks === 1 ? "task" : "tasks"}` });
  tasks.append(String(node.tasks), make("span", { className: "visually-hidden", textContent: node.tasks === 1 ? " task" : " tasks" }));
  item.append(tasks);
  if (mayEdit) item.append(menuOf(node));
  return item;
}

function menuOf(node) {
  const menu = make("details", { className: "menu right" });
  const summary = make("summary", { className: "icon-button small" });
  summary.setAttribute("aria-label", `Actions for ${node.name}`);
  summary.append(icon("ellipsis-vertical"));
  const list = make("div");
  for (const [action, picture, label] of ACTIONS) {
    const button = make("button", { type: "button", className: action === "delete" ? "danger" : "" });
    button.dataset.action = action;
    button.append(icon(picture), label);
    list.append(button);
  }
  menu.append(summary, list);
  return menu;
}

// The list scrolls and would cut the menu off, so it is placed on the screen instead.
function placeMenu(menu) {
  if (!menu.open) return;
  const list = menu.querySelector("summary + *");
  const from = menu.querySelector("summary").getBoundingClientRect();
  list.style.position = "fixed";
  list.style.left = "auto";
  list.style.right = `${document.documentElement.clientWidth - from.right}px`;
  const below = from.bottom + 4 + list.offsetHeight < innerHeight;
  list.style.top = below ? `${from.bottom + 4}px` : `${from.top - 4 - list.offsetHeight}px`;
}

function placeOf(element) {
  const item = element.closest("li.node");
  const part = element.matches(".node-name") ? ".node-name" : "summary";
  return item && { id: item.dataset.nodeId, at: [...item.parentElement.children].indexOf(item), part };
}

function make(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${document.body.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}
