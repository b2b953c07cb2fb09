"""The embedded engine as a process, without the web server: `python -m tests.chaos.engine`."""

import signal

import django

django.setup()

from runs.operations.embedded import Engine  # noqa: E402 - after Django is set up

if __name__ == "__main__":
    engine = Engine()
    engine.start()
    signal.pause()
