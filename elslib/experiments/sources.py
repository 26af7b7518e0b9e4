"""Which files of the library a piece of code runs: its imports, followed without running it."""

import ast
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

LIBRARY = Path(__file__).parents[1]
COMPILED = (".cpp",)  # they stand beside the Python that loads them


def sources(code: str, library: Path = LIBRARY) -> list[Path]:
    """The files of a library that code with these imports may run, directly or not; sorted.

    Imports count wherever they stand, in functions too, but not what only type checkers read. A
    name that a package loads lazily leads to the one module that its stub (`__init__.pyi`) names.
    Sources of compiled code count with the Python modules beside them. Code that cannot be parsed
    imports nothing.
    """
    found: set[Path] = set()
    names, known = _imported(code, library.name), set[str]()
    while names:
        known.add(name := names.pop())
        for path in set(_files_of(name, library)) - found:
            found.add(path)
            names |= _imports_of(path, library) - known
    folders = {path.parent for path in found} - {library}
    native = {p for folder in folders for p in folder.rglob("*") if p.suffix in COMPILED}
    return sorted(found | native)


def digest(path: Path) -> bytes:
    """Hash of what a source file does: of Python without its comments and docstrings."""
    about = path.stat()
    return _digest(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4096)
def _digest(path: Path, mtime_ns: int, size: int) -> bytes:
    """Read again only when the file was written again."""
    content = path.read_bytes()
    if path.suffix == ".py" and (tree := _parsed(content)):
        for node in ast.walk(tree):
            if isinstance(body := getattr(node, "body", None), list):
                body[:] = [line for line in body if not _is_words(line)]
        content = ast.dump(tree).encode()
    return hashlib.sha256(content).digest()


def _is_words(line: ast.AST) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def _imports_of(path: Path, library: Path) -> set[str]:
    """The names that a module of the library imports from the library."""
    return _read_imports(path, library, path.stat().st_mtime_ns, path.stat().st_size)


@lru_cache(maxsize=4096)
def _read_imports(path: Path, library: Path, mtime_ns: int, size: int) -> set[str]:
    package = (library.name, *path.parent.relative_to(library).parts)
    return _imported(path.read_text(encoding="utf-8"), library.name, package)


def _imported(code: str, library: str, package: tuple[str, ...] = ()) -> set[str]:
    """Dotted names below the library that code mentions: modules, and what it takes from them.

    `package` is where the code stands, which relative imports start from.
    """
    found: set[str] = set()
    bound: dict[str, str] = {}  # a variable and the module or package that it stands for
    nodes = list(_walk(_parsed(code)))
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.add(alias.name)
                top = alias.name.split(".")[0]
                bound |= {alias.asname: alias.name} if alias.asname else {top: top}
        elif isinstance(node, ast.ImportFrom):
            taken = _taken(node, package)
            found |= set(taken.values())
            bound |= taken
    for node in nodes:
        parts, inner = [], node
        while isinstance(inner, ast.Attribute):
            parts, inner = [inner.attr, *parts], inner.value
        if isinstance(inner, ast.Name) and inner.id in bound:
            found.add(".".join([bound[inner.id], *parts]))
    return {name for name in found if name.split(".")[0] == library}


def _taken(node: ast.ImportFrom, package: tuple[str, ...]) -> dict[str, str]:
    """The variables that a `from ... import` binds, and the dotted name of each."""
    here = package[: len(package) + 1 - node.level] if node.level else ()
    module = ".".join([*here, *filter(None, [node.module])])
    return {alias.asname or alias.name: f"{module}.{alias.name}" for alias in node.names}


def _parsed(code: str | bytes) -> ast.Module | None:
    try:
        return ast.parse(code)
    except SyntaxError:
        return None  # whoever runs it will say where


def _walk(node: ast.AST | None) -> Iterator[ast.AST]:
    """All nodes but those that stand under `if TYPE_CHECKING`."""
    if node is None or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _walk(child)


def _files_of(name: str, library: Path) -> Iterator[Path]:
    """What importing a dotted name runs: the packages on the way, and the module itself."""
    top, *parts = name.split(".")
    if top != library.name:
        return
    place = library
    for part in ["", *parts]:
        place = place / part
        if place.is_dir():
            if (start := place / "__init__.py").is_file():
                yield start
        elif (module := place.with_suffix(".py")).is_file():
            yield module
            return
        else:
            if target := _lazy(place.parent, library).get(part):
                yield from _files_of(target, library)
            return


def _lazy(package: Path, library: Path) -> dict[str, str]:
    """Where the names of a package come from, by its stub, or by what it shows type checkers."""
    stub = package / "__init__.pyi"
    stub = stub if stub.is_file() else package / "__init__.py"
    here = (library.name, *package.relative_to(library).parts)
    tree = _parsed(stub.read_text(encoding="utf-8")) if stub.is_file() else None
    found = {}
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.ImportFrom):
            found |= _taken(node, here)
    return found
