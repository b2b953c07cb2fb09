"""What a process of dex was configured with, as far as it decides how children are started. Set once, at its start."""

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Configuration:
    """`home`: DEX_HOME, None before it is known; `bubblewrap`: whether it may be used where it is installed."""

    home: Path | None = None
    bubblewrap: bool = True


current = Configuration()
