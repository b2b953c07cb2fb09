// The log of an attempt that goes on: new lines are asked for once a second, and the oldest leave the page, so that a
// log of any length stays light. Who scrolls up or takes the tick away is left alone.
const EVERY = 1000;
const MOST = 5000; // lines on the page

const list = document.getElementById("log");
const follow = document.getElementById("follow");
if (list?.dataset.tail) watch();
document.querySelector(".log-lines .marked")?.scrollIntoView({ block: "center" });

async function watch() {
  list.lastElementChild?.scrollIntoView({ block: "end" });
  for (;;) {
    if (!document.hidden) {
      const query = new URLSearchParams({ from: list.dataset.from, line: list.dataset.line });
      try {
        const answer = await fetch(`${list.dataset.tail}?${query}`, { headers: { "HX-Request": "true" } });
        if (answer.redirected) return;
        if (answer.ok && show(await answer.json())) return;
      } catch {
        // the server is away; it is asked again
      }
    }
    await new Promise((done) => setTimeout(done, EVERY));
  }
}

// A line that has no newline yet, such as a progress bar, is the last of the list and drawn again as it moves.
function show({ html, open, from, line, over }) {
  const before = list.querySelector(":scope > [data-open]");
  const came = html.trim();
  if (came) {
    before?.remove();
    list.insertAdjacentHTML("beforeend", html);
  }
  if (open && (came || !drawn(before, open))) {
    if (!came) before?.remove();
    list.insertAdjacentHTML("beforeend", open);
  }
  while (list.children.length > MOST) list.firstElementChild.remove();
  const last = list.lastElementChild;
  if (follow?.checked && last && (came || last !== before)) last.scrollIntoView({ block: "end" });
  list.dataset.from = from;
  list.dataset.line = line;
  if (over) location.reload(); // how it ended
  return over;
}

// Whether the line is on the page as it is now: what somebody marked in it stays marked.
function drawn(element, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return element?.isEqualNode(template.content.firstElementChild) ?? false;
}
