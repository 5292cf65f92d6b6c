"""The application's source as it lies on disk: modules, their syntax trees, what they import and call."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """One file of the application, by its dotted name."""

    name: str
    path: Path

    @property
    def tree(self) -> ast.Module:
        return _parsed(self.path)

    @property
    def place(self) -> str:
        """The first name below `chalicelib`: a module, or the package that it belongs to."""
        names = self.name.split(".")
        return names[1] if len(names) > 1 else names[0]

    def imports(self) -> set[str]:
        """The dotted names of everything imported, anywhere in the file; `from a import b` counts as `a.b`."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name} imports relatively"
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        return found

    def names_used(self) -> set[str]:
        """Every dotted name that is read, such as `os.environ` or `datetime.now`."""
        return {dotted for node in ast.walk(self.tree) if (dotted := _dotted(node))}


@cache
def modules() -> tuple[Module, ...]:
    """`app` and everything in `chalicelib`."""
    files = sorted((ROOT / "chalicelib").rglob("*.py"))
    return (Module("app", ROOT / "app.py"), *(Module(_name_of(path), path) for path in files))


def _name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def _dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else None
    return None
