"""Random questions about a manifest, in dex's spelling and in dbt's, made of names that really are in it."""

from __future__ import annotations

from random import Random
from typing import Any

from nodes.dbt.manifest import Manifest, Resource

METHODS = [
    "fqn",
    "tag",
    "path",
    "file",
    "package",
    "source",
    "resource_type",
    "config",
    "group",
    "access",
    "version",
    "test_name",
    "test_type",
    "unit_test",
    "exposure",
    "metric",
    "semantic_model",
    "saved_query",
]
OPERATORS = [
    "{}",
    "{}",
    "{}",
    "+{}",
    "{}+",
    "+{}+",
    "1+{}",
    "{}+1",
    "2+{}+1",
    "@{}",
    "@+{}",
    "@2+{}",
    "0+{}",
    "{}+0",
    "{}+3",
]
MALFORMED = [
    "+{}++",
    "++{}",
    "@{}+",
    "+@{}",
    "-1+{}",
    "!{}",
    "{}+x",
    "{}&&{}",
    "tagg:{}",
    "Tag:{}",
    "my-tag:{}",
    "{}+1+1",
]
FIXED = {
    "resource_type": [
        "model",
        "seed",
        "snapshot",
        "test",
        "unit_test",
        "source",
        "exposure",
        "metric",
        "semantic_model",
        "saved_query",
        "function",
        "analysis",
        "operation",
        "macro",
        "doc",
        "nonsense",
    ],
    "access": ["public", "protected", "private", "pub"],
    "version": ["latest", "old", "prerelease", "none", "v1"],
    "test_type": ["generic", "singular", "unit", "data", "schema", "at", "nonsense"],
    "test_name": [
        "unique",
        "not_null",
        "not_*",
        "relationships",
        "accepted_values",
        "my_generic",
        "un?que",
        "*",
    ],
}


class Vocabulary:
    """What a project's selectors can be made of."""

    def __init__(self, manifest: Manifest) -> None:
        self.rows = list(manifest.rows)
        self.tags = sorted(manifest.tag_index) or ["none"]
        self.packages = sorted({row.package for row in self.rows})
        self.selectors = sorted(manifest.selectors)
        self.settings = sorted({found for row in self.rows for found in _settings(row.config)})

    def question(self, random: Random) -> dict[str, Any]:
        """{"dex": ..., "dbt": ...}: the same include, exclude, types and mode in both spellings."""
        both = [self._values(random, 0.05), self._values(random, 0.5)]
        mode = random.choice(["eager", "eager", "cautious", "buildable", "empty"])
        types = random.choice([[], [], ["model"], ["test", "unit_test"], ["all"], ["source", "exposure"]])
        return {
            spelling: {
                "include": both[0][n] or None,
                "exclude": both[1][n],
                "indirect_selection": mode,
                "resource_types": types,
            }
            for n, spelling in enumerate(("dex", "dbt"))
        }

    def _values(self, random: Random, none: float) -> tuple[list[str], list[str]]:
        if random.random() < none:
            return [], []
        dex, dbt = [], []
        for _ in range(random.choice([1, 1, 1, 2, 3])):
            terms = [
                [self.atom(random) for _ in range(random.choice([1, 1, 1, 2, 3]))]
                for _ in range(random.choice([1, 1, 1, 2]))
            ]
            joint = random.choice(["&", " & ", "& "])
            dex.append(random.choice([" ", "  "]).join(joint.join(term) for term in terms))
            dbt.append(" ".join(",".join(term) for term in terms))
        return dex, dbt

    def atom(self, random: Random) -> str:
        shape = random.choice(MALFORMED if random.random() < 0.02 else OPERATORS)
        return shape.replace("&&", "").format(self._plain(random), "")

    def _plain(self, random: Random) -> str:
        row = random.choice(self.rows)
        method = random.choice([*METHODS, "selector", "selector"] if self.selectors else METHODS)
        if random.random() < 0.3:
            method = ""
        value = self._value(random, method, row)
        for forbidden in " ,&\n":
            value = value.replace(forbidden, "?")
        return f"{method}:{value}" if method and method != "config" else value

    def _value(self, random: Random, method: str, row: Resource) -> str:  # noqa: C901 - one branch a method
        if method in FIXED:
            return random.choice(FIXED[method]) if random.random() < 0.95 else row.name
        if method == "selector":
            name = random.choice(self.selectors)
            return random.choice([name, name, name, f"{name[:3]}*", f"{name}x" if random.random() < 0.2 else name])
        if method == "config":
            setting, value = random.choice(self.settings)
            return f"config.{setting}:{value if random.random() < 0.9 else value.swapcase()}"
        if method in ("", "fqn"):
            fqn = list(row.fqn)
            choice = random.random()
            if choice < 0.4:
                value = row.name
            elif choice < 0.6:
                value = ".".join(fqn[random.choice([0, 1]) :])
            elif choice < 0.8:
                start = random.choice([0, 1, 2])
                value = ".".join(fqn[start : random.randrange(start + 1, len(fqn) + 2)]) or row.name
            elif choice < 0.9:
                value = ".".join(fqn[-2:])
            else:
                value = random.choice([row.path, row.path.split("/")[-1]])
        elif method == "path":
            parts = row.path.split("/")
            if row.patch_path and random.random() < 0.2:
                parts = row.patch_path.split("://")[1].split("/")
            parts = parts[: random.randrange(1, len(parts) + 1)]
            if random.random() < 0.3:
                parts[random.randrange(len(parts))] = random.choice(["*", "**", "?*", "s*", "..", "."])
            value = "/".join(parts) + random.choice(["", "", "", "/"])
        elif method == "file":
            value = row.path.split("/")[-1]
            if random.random() < 0.5:
                value = value.rsplit(".", 1)[0]
        elif method == "tag":
            value = random.choice(self.tags)
        elif method == "package":
            value = random.choice([*self.packages, "this"])
        elif method == "group":
            value = random.choice(sorted({row.group for row in self.rows if row.group}) or ["none"])
        else:
            kind = random.choice([row for row in self.rows if row.resource_type == method] or [row])
            names = [kind.name]
            if method == "source":
                names = [kind.source_name or "", kind.name] if random.random() < 0.7 else [kind.source_name or ""]
            value = ".".join([kind.package, *names] if random.random() < 0.3 else names)
        return _blur(random, value)


def _blur(random: Random, value: str) -> str:
    """Now and then a wildcard in place of a piece."""
    if not value or random.random() < 0.6:
        return value
    start = random.randrange(len(value))
    end = random.randrange(start, len(value) + 1)
    wildcard = random.choice(["*", "*", "?", f"[{value[start]}z]", "[!a]", "]", "["])
    return value[:start] + wildcard + value[end:]


def _settings(config: dict[str, Any], path: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in config.items():
        if not key.replace("_", "").isalnum():
            continue
        if isinstance(value, dict):
            found += _settings(value, f"{path}{key}.")
        for one in value if isinstance(value, list) else [value]:
            text = str(one)
            if isinstance(one, str | int | float) and text and not set(text) & set(" ,&+\n:") and len(text) < 60:
                found.append((path + key, text))
    return found
