"""Runs in a process of its own: reads what a repository says, which may be made to take for ever or to explode.

Imports nothing of dex. The order comes as JSON on standard input, the answer goes as JSON to standard output:
{"error": text}, or what was found. See nodes.dbt.reader, which limits this process.
"""

import ast
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

LARGEST_ANSWER = 1024 * 1024  # characters


class Problem(Exception):
    """What is wrong with the text, in a sentence."""


def project(order: Mapping[str, Any]) -> dict[str, Any]:
    """{"profile", "problem", "vars", "require"} of a dbt_project.yml.

    The profile that it asks for, or why there is none; the versions of dbt that it asks for, as it writes them.
    """
    content = _yaml("dbt_project.yml", order["text"])
    if not isinstance(content, dict):
        raise Problem("dbt_project.yml is empty")
    found: dict[str, Any] = {"profile": "", "problem": "", "vars": _vars(content.get("vars"))}
    required = content.get("require-dbt-version") or []
    found["require"] = [str(each)[:100] for each in (required if isinstance(required, list) else [required])][:20]
    try:
        found["profile"] = str(_render(content.get("profile") or content.get("name") or "", order["env"], {}))
    except Problem as error:
        found["problem"] = str(error)
    return found


def _vars(declared: Any) -> list[str]:
    """The names of vars, those for one package too."""
    if not isinstance(declared, dict):
        return []
    names = [name for name in declared if isinstance(name, str)]
    for inner in declared.values():
        names += [name for name in inner if isinstance(name, str)] if isinstance(inner, dict) else []
    return list(dict.fromkeys(names))


def profile(order: Mapping[str, Any]) -> dict[str, Any]:
    """{"target", "output"} of a profile in a profiles.yml, its variables filled in."""
    content = _yaml("profiles.yml", order["text"])
    wanted, env, variables = order["profile"], order["env"], order["variables"]
    chosen = content.get(wanted) if isinstance(content, dict) else None
    if not isinstance(chosen, dict) or not isinstance(chosen.get("outputs"), dict):
        raise Problem(f"profiles.yml has no profile {wanted!r} with outputs")
    target = str(order["target"] or _render(chosen.get("target") or "default", env, variables))
    output = chosen["outputs"].get(target)
    if not isinstance(output, dict):
        known = ", ".join(sorted(map(str, chosen["outputs"])))[:1000]
        raise Problem(f"profile {wanted!r} has no target {target!r}; it has {known}")
    return {"target": target, "output": {str(key): _render(value, env, variables) for key, value in output.items()}}


def scripts(order: Mapping[str, Any]) -> dict[str, Any]:
    """{"reads": [{"places", "names"}, ...]} of Python scripts: places of sys.argv, names of environment variables."""
    return {"reads": [_script(text) for text in json.loads(order["text"])]}


def _script(text: str) -> dict[str, Any]:
    """What one script reads; nothing for what is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the script's own text
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {"places": [], "names": []}
    places, names = set(), set()
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=value, slice=ast.Constant(value=int(place))) if _is(value, "argv") and place > 0:
                places.add(place)
            case ast.Subscript(value=value, slice=ast.Constant(value=str(name))) if _is(value, "environ"):
                names.add(name)
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if _asks(func):
                names.add(name)
    return {"places": sorted(places)[:1000], "names": sorted(names)[:1000]}


def _is(node: ast.expr, name: str) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == name) or (isinstance(node, ast.Name) and node.id == name)


def _asks(node: ast.expr) -> bool:
    if _is(node, "getenv"):
        return True
    return isinstance(node, ast.Attribute) and node.attr == "get" and _is(node.value, "environ")


def requirements(order: Mapping[str, Any]) -> dict[str, Any]:
    """{"dbt", "constraints"} of a requirements file or a pyproject.toml, which its `name` says.

    dbt: the lines that name packages of dbt; constraints: the versions of everything else that is named beside them.
    Both are empty where no package of dbt is named.
    """
    groups = _toml_groups(order["text"]) if order["name"].endswith(".toml") else [_plain_lines(order["text"])]
    for lines in groups:
        found = _sorted_out(order["name"], lines)
        if found["dbt"]:
            return found
    return {"dbt": [], "constraints": []}


def _plain_lines(text: str) -> list[str]:
    """The lines of a requirements file without comments, hashes and options."""
    lines = []
    for raw in text.replace("\\\n", " ").splitlines():
        line = raw.split(" #")[0].split(" --hash")[0].strip()
        if line and not line.startswith(("#", "--", "-r", "-c", "-i", "-f")):
            lines.append(line)
    return lines


def _sorted_out(name: str, lines: list[str]) -> dict[str, Any]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    dbt, constraints = [], []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            if "dbt" in line:
                raise Problem(_NO_PACKAGE.format(name=name, line=line[:200])) from None
            continue
        package = canonicalize_name(requirement.name)
        if package == "dbt" or package.startswith("dbt-"):
            if requirement.url:
                raise Problem(_NO_PACKAGE.format(name=name, line=line[:200]))
            dbt.append(str(requirement))
        elif requirement.specifier and not requirement.url:
            marker = f" ; {requirement.marker}" if requirement.marker else ""
            constraints.append(f"{package}{requirement.specifier}{marker}")
    return {"dbt": dbt[:50], "constraints": constraints[:2000]}


_NO_PACKAGE = (
    "{name}: {line} is not a package with versions, such as dbt-core~=1.10.0. Only packages from the index are used"
)


def _toml_groups(text: str) -> list[list[str]]:
    """The lists of requirements in a pyproject.toml, what the project itself needs first."""
    import tomllib

    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise Problem(f"pyproject.toml is not valid TOML: {str(error)[:300]}") from None
    project, poetry = _table(content, "project"), _table(_table(content, "tool"), "poetry")
    lists = [project.get("dependencies"), *_table(project, "optional-dependencies").values()]
    lists += _table(content, "dependency-groups").values()
    groups = [[each for each in entries if isinstance(each, str)] for entries in lists if isinstance(entries, list)]
    tables = [_table(poetry, "dependencies")]
    tables += [_table(group, "dependencies") for group in _table(poetry, "group").values() if isinstance(group, dict)]
    return groups + [[_of_poetry(name, wanted) for name, wanted in table.items()] for table in tables]


def _table(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name)
    return found if isinstance(found, dict) else {}


def _of_poetry(name: str, wanted: Any) -> str:
    """A line of Poetry's as a requirement: ^1.8 is at least 1.8 and below 2."""
    extras = ""
    if isinstance(wanted, dict):
        named = wanted.get("extras")
        extras = f"[{','.join(map(str, named))}]" if isinstance(named, list) and named else ""
        if "version" not in wanted:  # a folder or a repository
            return f"{name} @ {next(iter(wanted.values()), '')}"
        wanted = wanted["version"]
    return f"{name}{extras}{','.join(filter(None, map(_of_poetrys_version, str(wanted).split(','))))}"


def _of_poetrys_version(text: str) -> str:
    text = text.strip()
    if text in ("", "*"):
        return ""
    if text[0] not in "^~" or text.startswith("~="):
        exact = text[0].isdigit()
        return f"=={text}" if exact else text
    version = text[1:].strip()
    numbers = [int(part) for part in version.split(".") if part.isdecimal()] or [0]
    if text[0] == "~":
        place = min(1, len(numbers) - 1)
    else:
        place = next((n for n, number in enumerate(numbers) if number), len(numbers) - 1)
    above = [*numbers[:place], numbers[place] + 1]
    return f">={version},<{'.'.join(map(str, above))}"


def _yaml(name: str, text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())[:300]
        raise Problem(f"{name} is not valid YAML: {said}") from None


def _render(value: Any, env: Mapping[str, str], variables: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {str(key): _render(each, env, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_render(each, env, variables) for each in value]
    if not isinstance(value, str) or "{" not in value:
        return value

    def env_var(name: str, default: str | None = None) -> str:
        if name in env:
            return env[name]
        if default is None:
            raise Problem(f"the environment variable {name} is required and not set")
        return default

    def var(name: str, default: Any = None) -> Any:
        return variables.get(name, default)

    try:
        return _jinja().from_string(value).render(env_var=env_var, var=var)
    except (Problem, MemoryError):
        raise
    except Exception as error:  # whatever a template makes Jinja do
        raise Problem(f"{value[:200]!r} cannot be filled in: {str(error)[:300]}") from None


def _jinja() -> Any:
    import yaml
    from jinja2.nativetypes import NativeEnvironment
    from jinja2.sandbox import SandboxedEnvironment

    class Environment(SandboxedEnvironment, NativeEnvironment):
        """Jinja as in profiles.yml, without reach into this process: the file is other people's."""

    jinja = Environment(autoescape=False)  # a value of YAML, never shown as HTML
    jinja.filters |= {"as_number": _number, "as_bool": _truth, "as_native": yaml.safe_load, "as_text": str}
    return jinja


def _number(text: Any) -> Any:
    number = float(text)
    return int(number) if number.is_integer() else number


def _truth(text: Any) -> bool:
    return str(text).strip().lower() in ("true", "1", "yes", "on")


READERS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "project": project,
    "profile": profile,
    "scripts": scripts,
    "requirements": requirements,
}


def answer(order: Mapping[str, Any]) -> str:
    """The answer to an order, as JSON."""
    try:
        text = json.dumps(READERS[order["what"]](order), default=str)
        if len(text) > LARGEST_ANSWER:
            raise MemoryError
    except Problem as error:
        return json.dumps({"error": str(error)})
    except RecursionError:
        return json.dumps({"error": "it is nested too deeply"})
    except MemoryError:
        return json.dumps({"limit": "memory"})
    except Exception as error:  # a library that did not expect such a text
        return json.dumps({"error": f"it cannot be read: {type(error).__name__}: {str(error)[:300]}"})
    return text


if __name__ == "__main__":
    sys.stdout.write(answer(json.load(sys.stdin.buffer)))
