"""Who gets messages in tests: an HTTP server and a mail server, each on a port of its own, in threads."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Web:
    """Keeps what is posted to it; answers with the statuses of `answers`, the last one again and again."""

    def __init__(self, port: int = 0, answers: list[int] | None = None) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers, self.said = answers or [200], b""
        self.headers: dict[str, str] = {}
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with receiver._lock:
                    answers = receiver.answers
                    status = answers.pop(0) if len(answers) > 1 else answers[0]
                    receiver.got.append((dict(self.headers), body))
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(receiver.said)))
                self.end_headers()
                self.wfile.write(receiver.said)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"


class Mail:
    """A mail server that takes every message."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], Message]] = []
        receiver = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                recipients: list[str] = []
                self._say("220 here")
                while line := self.rfile.readline().decode().strip():
                    word = line.split(" ")[0].upper()
                    if word == "RCPT":
                        recipients.append(line.partition("<")[2].partition(">")[0])
                    if word == "DATA":
                        self._say("354 go on")
                        lines = []
                        while (text := self.rfile.readline().decode()) not in (".\r\n", ""):
                            lines.append(text.removeprefix("."))
                        receiver.got.append((recipients, message_from_string("".join(lines))))
                    self._say("221 bye" if word == "QUIT" else "250 ok")

            def _say(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]


@contextmanager
def serving(receiver: Any) -> Iterator[Any]:
    thread = threading.Thread(target=receiver.server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join(5)
