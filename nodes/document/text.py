"""A document as YAML that reads well in a diff, and back."""

from typing import Any

import yaml

from nodes.document.reading import DocumentError, read
from nodes.document.value import Document, exported

LARGEST = 1024 * 1024  # characters of YAML
DEEPEST = 50


class _Dumper(yaml.SafeDumper):
    """Lists stand below their key, long texts keep their lines, nothing is an alias of something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


def _list(dumper: _Dumper, value: list[Any]) -> yaml.SequenceNode:
    place = len(value) == 2 and all(isinstance(number, int) for number in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=place or not value)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def to_yaml(document: Document) -> str:
    """The exported form of a whole form as YAML, ending with a newline. The same flow always gives the same text."""
    text = yaml.dump(exported(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return str(text)


_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where libyaml is there


class _Loader(_Fast):
    """YAML without keys that are there twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value} is used twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def _look_through(text: str) -> None:
    """Refuse what can hide things in a text, or makes much of little: anchors, and depth. Raises MarkedYAMLError."""
    depth = 0
    for event in yaml.parse(text, Loader=_Fast):
        problem = ""
        if isinstance(event, yaml.AliasEvent):
            problem = "anchors and aliases are not supported in flows"
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            problem = "this is nested too deeply" if depth > DEEPEST else ""
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if problem:
            mark: Any = event.start_mark  # of either of PyYAML's two kinds
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def too_large(size: int) -> str:
    """Why so many characters or bytes are no flow, and what to do; empty for what may be one."""
    if size <= LARGEST:
        return ""
    return (
        f"A flow has at most {LARGEST // 1024:,} KiB of YAML; this has {size // 1024:,} KiB. "
        "Choose a file exported from dex."
    )


def from_yaml(text: str) -> Document:
    """The whole form (without ids) of an exported text. Raises DocumentError with all that is wrong."""
    if problem := too_large(len(text)):
        raise DocumentError([problem])
    try:
        _look_through(text)
        given = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader, made stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"Line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise DocumentError([f"{where}this is not valid YAML for a flow: {error.problem or error.context}."]) from error
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DocumentError([f"This is not valid YAML for a flow: {message[:200]}."]) from error
    return read(given)
