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

function show({ html, from, line, over }) {
  if (html.trim()) {
    list.insertAdjacentHTML("beforeend", html);
    while (list.children.length > MOST) list.firstElementChild.remove();
    if (follow?.checked) list.lastElementChild.scrollIntoView({ block: "end" });
  }
  list.dataset.from = from;
  list.dataset.line = line;
  if (over) location.reload(); // how it ended
  return over;
}
