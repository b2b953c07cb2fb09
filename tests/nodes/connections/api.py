"""A small HTTP API with a mind of its own: pages, tokens, limits, and every way to go wrong."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "t0ken-of-the-api-0123456789"


class Api:
    """`orders` is what it holds; `requests` what it was asked."""

    def __init__(self, count: int = 250) -> None:
        self.orders = [
            {
                "id": i,
                "amount": i * 2,
                "updated_at": f"2026-01-{1 + i % 28:02}T00:00:00Z",
                "items": [{"sku": f"a{i}", "n": 1}, {"sku": "b", "n": i}],
            }
            for i in range(1, count + 1)
        ]
        self.requests: list[str] = []
        self.busy_every = 0  # every so many-th request is refused with 429
        self.files: dict[str, tuple[str, bytes]] = {}
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                """Quiet."""

            def do_GET(self) -> None:
                api.requests.append(self.path)
                api.answer(self)

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode()
                api.requests.append(f"POST {self.path}")
                right = "client_secret=right" in body or "assertion=" in body
                send(
                    self, 200 if right else 401, {"access_token": TOKEN, "expires_in": 60} if right else {"error": "x"}
                )

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler: Any) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path in self.files:
            kind, body = self.files[parts.path]
            raw(handler, 200, body, kind)
        elif parts.path == "/html":
            raw(handler, 200, b"<!doctype html><title>Sign in</title>", "text/html")
        elif parts.path == "/broken":
            send(handler, 500, {"error": "boom"})
        elif parts.path == "/busy":
            send(handler, 429, {"error": "slow down"}, {"Retry-After": "0"})
        elif parts.path == "/endless":
            send(handler, 200, {"data": [{"id": 1}], "next": f"{self.url}/endless?page=2"})
        elif parts.path == "/growing":
            page = int(query.get("page", 1))
            send(handler, 200, {"data": [{"id": page}], "next": f"{self.url}/growing?page={page + 1}"})
        elif parts.path == "/elsewhere":
            send(handler, 200, {"data": [{"id": 1}], "next": "http://localhost:9/steal"})
        elif parts.path == "/redirect":
            raw(handler, 302, b"", "text/plain", {"Location": f"http://localhost:{self.port}/orders"})
        elif handler.headers.get("Authorization") != f"Bearer {TOKEN}":
            send(handler, 401, {"error": "who are you?"})
        elif self.busy_every and len(self.requests) % self.busy_every == 0:
            send(handler, 429, {"error": "slow down"}, {"Retry-After": "0"})
        elif parts.path == "/orders":
            self.page(handler, query)
        else:
            send(handler, 404, {"error": "not here"})

    def page(self, handler: Any, query: dict[str, str]) -> None:
        size, number = int(query.get("size", 100)), int(query.get("page", 1))
        rows = [row for row in self.orders if str(row["updated_at"]) >= query.get("since", "")]
        send(handler, 200, {"data": rows[(number - 1) * size : number * size], "total": len(rows)})


def send(handler: Any, code: int, value: Any, headers: dict[str, str] | None = None) -> None:
    raw(handler, code, json.dumps(value).encode(), "application/json", headers)


def raw(handler: Any, code: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
    handler.send_response(code)
    for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)
