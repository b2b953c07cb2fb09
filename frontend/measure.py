"""How fluid the pictures are: `.venv/bin/python frontend/measure.py` prints frames per second while they are moved.

Serves static/ and made-up flows and graphs on a port of its own, and lets Chromium pan, zoom and drag for some seconds;
requestAnimationFrame says when each frame was made. Headless Chromium draws in software: a desktop with a graphics card
does better. Nothing is tested here, and nothing of dex needs to run.
"""

import argparse
import json
import math
import os
import random
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nodes import graph  # noqa: E402

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Measure</title>
<link rel="stylesheet" href="/dex.css"><link rel="stylesheet" href="/vendor/graph.css">
<link rel="stylesheet" href="/measure.css">
<script src="/measure.js" type="module"></script><body data-icons="/vendor/icons.svg">
<div id="canvas" data-url="/canvas.json" data-states-url="/states.json"></div>
<div id="lineage" data-graph-url="/graph.json"></div>"""
SCRIPT = """import { mountEditor, mountGraph } from "/vendor/graph.js";
const [id, mount] = location.search === "?canvas" ? ["canvas", mountEditor] : ["lineage", mountGraph];
mount(document.getElementById(id));"""
STYLE = "#canvas, #lineage { height: 100vh; } :is(#canvas, #lineage):empty { display: none; }"
RECORD = """() => {
  window.frames_ = [];
  const note = (at) => { window.frames_.push(at); window.going = requestAnimationFrame(note); };
  window.going = requestAnimationFrame(note);
}"""
STOP = "() => { cancelAnimationFrame(window.going); return window.frames_; }"


def links(count: int, nodes: int, spread: float) -> list[tuple[int, int]]:
    """Edges from lower to higher numbers, mostly between near ones."""
    chosen = random.Random(7)  # noqa: S311
    made: set[tuple[int, int]] = set()
    while len(made) < count:
        up = chosen.randrange(nodes - 1)
        down = up + 1 + int(abs(chosen.gauss(0, spread)))
        if down < nodes:
            made.add((up, down))
    return sorted(made)


def canvas(steps: int, arrows: int) -> dict[str, Any]:
    """A flow as the editor gets it, a third of its order implied."""
    pairs = links(arrows, steps, 12)
    places = graph.positions(range(steps), pairs, 224, 100)
    kinds = ["transformation", "connection", "script"]
    nodes = [
        {
            "id": n,
            "name": f"Node number {n} of this flow",
            "kind": kinds[n % 3],
            "kind_label": kinds[n % 3].capitalize(),
            "kind_icon": "boxes",
            "tasks": n % 30,
            "x": places[n][0],
            "y": places[n][1],
            "problem": "",
            "detail": f"tag:team_{n}",
            "url": "",
            "models": [],
            "more_models": 0,
        }
        for n in range(steps)
    ]
    drawn, implied = pairs[::3] + pairs[1::3], pairs[2::3]
    return {
        "flow": {"id": 1, "name": "Large"},
        "version": 1,
        "may_edit": True,
        "nodes": nodes,
        "links": [{"up": up, "down": down} for up, down in drawn],
        "implied": [{"up": up, "down": down, "count": 1, "reason": "b <- a"} for up, down in implied],
        "kinds": [],
    }


def lineage(models: int, edges: int) -> dict[str, Any]:
    """A graph as the page of a model gets it."""
    pairs = links(edges, models, models / 6)
    places = graph.positions(range(models), pairs, 220, 40)
    types = ["source", "model", "model", "model", "seed", "snapshot"]
    return {
        "nodes": [
            {
                "id": str(n),
                "name": f"marts.model_number_{n}",
                "type": types[n % len(types)],
                "tags": [],
                "x": places[n][0],
                "y": places[n][1],
                "url": "/",
                "chosen": n == models // 2,
            }
            for n in range(models)
        ],
        "edges": [(str(up), str(down)) for up, down in pairs],
        "more": 0,
    }


class Answers(SimpleHTTPRequestHandler):
    """static/, and the made-up rest."""

    def __init__(self, *args: Any, made: dict[str, str], **more: Any) -> None:
        self.made = made
        super().__init__(*args, directory=str(ROOT / "static"), **more)

    def do_GET(self) -> None:
        """A page, its data, or a file."""
        path = self.path.partition("?")[0]
        if path not in self.made:
            return super().do_GET()
        body = self.made[path].encode()
        self.send_response(200)
        self.send_header(
            "Content-Type",
            {"css": "text/css", "js": "text/javascript", "json": "application/json"}.get(
                path.rpartition(".")[2], "text/html"
            ),
        )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@dataclass
class Frames:
    """When the frames of a movement were made, in milliseconds."""

    at: list[float]

    def __str__(self) -> str:
        gaps = sorted(b - a for a, b in zip(self.at, self.at[1:], strict=False))
        mean = 1000 * len(gaps) / (self.at[-1] - self.at[0])
        return f"{mean:5.1f} frames/s   95 % under {gaps[int(len(gaps) * 0.95)]:4.0f} ms   worst {gaps[-1]:4.0f} ms"


def move(page: Page, seconds: float, act: Callable[[float], None]) -> Frames:
    """Play `act` (it gets the seconds gone) and watch the frames."""
    page.evaluate(RECORD)
    start = page.evaluate("performance.now()")
    gone = 0.0
    while gone < seconds:
        act(gone)
        gone = (page.evaluate("performance.now()") - start) / 1000
    return Frames(page.evaluate(STOP))


def circle(page: Page, x: float, y: float, radius: float) -> Callable[[float], None]:
    """The pressed mouse goes round."""

    def act(gone: float) -> None:
        page.mouse.move(x + radius * math.sin(3 * gone), y + radius * (1 - math.cos(3 * gone)))

    return act


def empty_spot(page: Page) -> tuple[float, float]:
    """A place of the background that nothing covers."""
    return page.evaluate("""() => {
      for (let y = 90; y < innerHeight - 180; y += 7) for (let x = 40; x < innerWidth - 240; x += 7) {
        if (document.elementFromPoint(x, y)?.matches(".react-flow__pane")) return [x, y];
      }
      return [40, 90];
    }""")


def pan(page: Page, seconds: float) -> Frames:
    """Drag the background."""
    x, y = empty_spot(page)
    page.mouse.move(x, y)
    page.mouse.down()
    made = move(page, seconds, circle(page, x, y, 160))
    page.mouse.up()
    return made


def zoom(page: Page, seconds: float) -> Frames:
    """Turn the wheel to and fro."""
    page.mouse.move(640, 400)
    return move(page, seconds, lambda gone: page.mouse.wheel(0, 30 * math.sin(2 * gone)))


def drag(page: Page, seconds: float) -> Frames:
    """Drag the card in the middle of the screen, with its links."""
    place = page.evaluate("""() => {
      const far = (box) => Math.hypot(box.x + box.width / 2 - innerWidth / 2, box.y + box.height / 2 - innerHeight / 2);
      const boxes = [...document.querySelectorAll(".react-flow__node")].map((node) => node.getBoundingClientRect());
      const box = boxes.sort((a, b) => far(a) - far(b))[0];
      return [box.x + box.width / 2, box.y + box.height / 4];
    }""")
    page.mouse.move(*place)
    page.mouse.down()
    made = move(page, seconds, circle(page, *place, 90))
    page.mouse.up()
    return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=["canvas", "lineage"])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--steps", type=int, default=100, help="of the flow")
    parser.add_argument("--links", type=int, default=150, help="of the flow")
    parser.add_argument("--models", type=int, default=1000, help="of the graph")
    parser.add_argument("--edges", type=int, default=2000, help="of the graph")
    chosen = parser.parse_args()
    made = {
        "/": PAGE,
        "/measure.js": SCRIPT,
        "/measure.css": STYLE,
        "/states.json": '{"nodes": {}}',
        "/canvas.json": json.dumps(canvas(chosen.steps, chosen.links)),
        "/graph.json": json.dumps(lineage(chosen.models, chosen.edges)),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Answers, made=made))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"), args=FLAGS
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("pageerror", lambda error: print("error:", error))
        idle = move(page, 2, lambda gone: page.wait_for_timeout(50))
        print(f"{'an empty page':44}{idle}")
        for name, what, acts in (
            ("canvas", f"flow, {chosen.steps} nodes, {chosen.links} links", (pan, zoom, drag)),
            ("lineage", f"graph, {chosen.models} models, {chosen.edges} edges", (pan, zoom)),
        ):
            if chosen.only not in (None, name):
                continue
            page.goto(f"{address}?{name}")
            page.locator(".react-flow__node").first.wait_for()
            print(f"{what + ', shown after':44}{page.evaluate('performance.now()'):5.0f} ms")
            for whole in (False, True):
                page.get_by_role("button", name="Fit" if whole else "Set it to 100 %").click()
                page.wait_for_timeout(500)
                for act in acts:
                    frames = act(page, chosen.seconds)
                    print(
                        f"  {act.__name__ + (', all of it in view' if whole else ', at 100 %'):42}{frames}", flush=True
                    )
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
