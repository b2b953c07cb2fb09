"""What a script's code reads, as far as its text says so: parameters by place, variables by name. Nothing is run."""

import ast
import warnings
from dataclasses import dataclass
from pathlib import Path

LARGEST = 512 * 1024  # bytes of a file that is looked at


@dataclass(frozen=True)
class Reads:
    """Places of sys.argv, and names asked of os.getenv and os.environ, each once, sorted."""

    places: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


def reads_of(path: Path) -> Reads:
    """What the code at `path` reads; nothing for what is no Python."""
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST:
            return Reads()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the script's own text
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return Reads()
    places, names = set(), set()
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=value, slice=ast.Constant(value=int(place))) if _is(value, "argv") and place > 0:
                places.add(place)
            case ast.Subscript(value=value, slice=ast.Constant(value=str(name))) if _is(value, "environ"):
                names.add(name)
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if _asks(func):
                names.add(name)
    return Reads(tuple(sorted(places)), tuple(sorted(name for name in names if not name.startswith("DEX_"))))


def _is(node: ast.expr, name: str) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == name) or (isinstance(node, ast.Name) and node.id == name)


def _asks(node: ast.expr) -> bool:
    if _is(node, "getenv"):
        return True
    return isinstance(node, ast.Attribute) and node.attr == "get" and _is(node.value, "environ")
