"""`python -m tests.code_report`: how large and how tangled the product's code is, with limits.

Counts functions (lines from `def` to the end of the body, decorators and docstring included) and
files of the product; tests, migrations and vendored files are left out. Circles are counted over
all imports between our modules, lazy ones included; those that only type checkers see are not.
"""

from __future__ import annotations

import ast
import graphlib
import statistics
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("portal", "fleet", "deploy")

MEDIAN_FUNCTION_LINES = 10
P95_FUNCTION_LINES = 40
LONGEST_FILE_LINES = 400


@dataclass
class Module:
    """One file: its dotted name, its length, its functions' lengths, and what it imports."""

    name: str
    path: Path
    lines: int
    functions: dict[str, int] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Line:
    """One line of the report."""

    what: str
    value: float
    limit: float
    where: str = ""

    @property
    def is_kept(self) -> bool:
        return self.value <= self.limit

    def __str__(self) -> str:
        mark = "ok  " if self.is_kept else "OVER"
        where = f"  {self.where}" if self.where else ""
        return f"{mark} {self.what:<24} {self.value:>5g}  (limit {self.limit:g}){where}"


def read_modules(root: Path = ROOT, rooms: Iterable[str] = ROOMS) -> dict[str, Module]:
    """The product's modules below `root`, by dotted name."""
    paths = [path for room in rooms for path in sorted((root / room).rglob("*.py"))]
    modules = [read_module(root, path) for path in paths if "migrations" not in path.parts]
    return {module.name: module for module in modules}


def read_module(root: Path, path: Path) -> Module:
    """One module, read but not imported."""
    parts = path.relative_to(root).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, str(path))
    module = Module(name, path.relative_to(root), len(text.splitlines()))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            module.functions[f"{module.path}:{node.lineno} {node.name}"] = length(node)
    package = name if is_package else name.rpartition(".")[0]
    module.imports = {target for node in runtime_nodes(tree) for target in targets(node, package)}
    return module


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, decorators included."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return (node.end_lineno or node.lineno) - first + 1


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below `node` except what stands under `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield other
                yield from runtime_nodes(other)
            continue
        yield child
        yield from runtime_nodes(child)


def targets(node: ast.AST, package: str) -> Iterator[str]:
    """Dotted names that an import statement may load: of `from a import b`, `a` and `a.b`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *([base] if base else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def circles(modules: dict[str, Module]) -> list[list[str]]:
    """Import circles, each as the modules on its way; one is broken before the next is sought."""
    graph = {name: dependencies(module, modules) for name, module in modules.items()}
    found: list[list[str]] = []
    while True:
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            imported, importer, *_ = error.args[1]  # each node is imported by the next one
            graph[importer].discard(imported)
            found.append(error.args[1])
        else:
            return found


def dependencies(module: Module, modules: dict[str, Module]) -> set[str]:
    """The modules of ours that `module` names.

    A package that only hands out its own submodules' names is left out when one of its submodules
    was named: importing `a.b.c` asks for `a.b.c`, although Python runs `a/__init__.py` on the way.
    """
    named = {target for target in module.imports if target in modules} - {module.name}
    return {name for name in named if not any(other.startswith(f"{name}.") for other in named)}


def report(modules: dict[str, Module]) -> list[Line]:
    """The four figures, each with its limit."""
    functions = {where: n for module in modules.values() for where, n in module.functions.items()}
    lengths = sorted(functions.values()) or [0]
    longest = max(functions, key=functions.__getitem__, default="")
    file = max(modules.values(), key=lambda module: module.lines)
    rounds = circles(modules)
    p95 = lengths[min(len(lengths) - 1, int(len(lengths) * 0.95))]
    return [
        Line("function median, lines", statistics.median(lengths), MEDIAN_FUNCTION_LINES),
        Line("function p95, lines", p95, P95_FUNCTION_LINES),
        Line("longest function, lines", lengths[-1], P95_FUNCTION_LINES, longest),
        Line("longest file, lines", file.lines, LONGEST_FILE_LINES, str(file.path)),
        Line("import circles", len(rounds), 0, "; ".join(" < ".join(circle) for circle in rounds)),
    ]


def main() -> int:
    """Print the report; 1 when a limit is passed."""
    modules = read_modules()
    lines = report(modules)
    count = sum(len(module.functions) for module in modules.values())
    print(f"{len(modules)} files, {count} functions (tests and migrations left out)")
    for line in lines:
        print(line)
    return 0 if all(line.is_kept for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
