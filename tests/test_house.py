"""The house rules that a machine can hold: imports one way, files in agreement."""

import ast
import hashlib
import json
import re
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
# A subpackage, or a module beside them, may import those before it, and within itself anything.
ORDER = [
    "io", "checks", "exact", "schedules", "windows", "scales", "data", "posterior", "denoisers",
    "samplers", "networks", "analysis", "figures", "experiments", "book", "cli", "__main__",
]  # fmt: skip


def test_imports_go_one_way():
    """No part imports one that stands after it, and every part has its place."""
    for path in (ROOT / "elslib").rglob("*.py"):
        part = path.relative_to(ROOT / "elslib").parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("elslib"):
                names = (node.module or "").split(".")[1:2] or [alias.name for alias in node.names]
                for name in names:
                    assert ORDER.index(name) <= ORDER.index(part), (path.name, name)


def test_the_picture_shows_the_house():
    """CONTRIBUTING.md draws all parts, in the order of imports, and names files that are there."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    picture = text[text.index("elslib/\n") : text.index("notebooks/   ")]
    parts = re.findall(r"^    ([a-z]+)/? {2,}\S", picture, re.MULTILINE)
    assert parts == ORDER[:-1]
    folder = ROOT / "elslib"
    for line in picture.splitlines()[1:]:
        if part := re.match(r"    ([a-z]+)/ ", line):
            folder = ROOT / "elslib" / part[1]
        if names := re.match(r"(?:    [a-z]+/ +| {21})([a-z_]+(?:, [a-z_]+)*) {3}", line):
            for name in names[1].split(", "):
                assert (folder / f"{name}.py").is_file(), (folder, name)


def requirements():
    """Dependencies of the library and of the book, by pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["dependencies"] + project["optional-dependencies"]["book"]


def test_environment_agrees_with_pyproject_and_lock():
    """environment.yml asks for exactly the same, and the lock names every one."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    assert sorted(r for r in pip if not r.startswith("-")) == sorted(requirements())
    locked = (ROOT / "requirements.lock").read_text().lower().splitlines()
    assert all(re.fullmatch(r"[a-z0-9._-]+==[^\s;@]+", line) for line in locked)
    names = {line.split("==")[0].replace("_", "-") for line in locked}
    assert {re.split(r"[<>=]", r)[0] for r in requirements()} <= names


def test_importing_elslib_needs_no_jupyter():
    """All of the library but the notebook pipeline, with every Jupyter package blocked."""
    program = (
        "import sys\n"
        "for name in ('jupytext', 'papermill', 'nbformat', 'IPython', 'ipywidgets', 'yaml',\n"
        "    'diffusers'):\n"
        "    sys.modules[name] = None\n"
        "import elslib.cli, elslib.figures.plots, elslib.analysis.metrics\n"
        "import elslib.networks.diffusers_adapter\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_what_the_library_reads_is_in_the_wheel():
    """The published scales: a file of the package, which the wheel takes whole."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"][
        "targets"
    ]
    assert wheel["wheel"]["packages"] == ["elslib"] and "exclude" not in wheel["wheel"]
    assert (resources.files("elslib") / "published_scales.json").is_file()
    ignored = ["git", "check-ignore", "elslib/published_scales.json"]  # hatch follows git
    assert subprocess.run(ignored, cwd=ROOT, capture_output=True).returncode != 0


def test_the_readme_example_runs():
    """The README's Python block, as it stands, and on the user's own tensor."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1 and len(blocks[0].strip().splitlines()) <= 12
    namespace = {}
    exec(compile(blocks[0], "README.md", "exec"), namespace)
    assert namespace["x0"].shape == (4, 3, 16, 16)


def test_every_module_is_in_the_reference_once():
    """All of the library but its commands and what papermill or a process starts."""
    pages = "\n".join(path.read_text() for path in (ROOT / "book" / "api").glob("*.md"))
    named = re.findall(r"automodule:: elslib\.([\w.]+)", pages)
    modules = {
        ".".join(path.relative_to(ROOT / "elslib").with_suffix("").parts)
        for path in (ROOT / "elslib").rglob("*.py")
        if path.stem not in ("__init__", "__main__")
    }
    inner = {name for name in modules if name.split(".")[0] in ("cli", "posterior")}
    inner.remove("posterior.mass")
    started = {"book.papermill_handler", "book.run_notebook"}
    assert sorted(named) == sorted((modules - inner - started) | {"posterior"})


def test_the_citation_agrees_with_the_bibliography():
    """CITATION.cff and references.bib describe the paper alike; the version is the library's."""
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    (paper,) = about["references"]
    entry = (ROOT / "book" / "references.bib").read_text().split("@")[1]
    fields = dict(re.findall(r"(\w+)\s*= \{(.*)\}", entry))
    names = " and ".join(f"{a['family-names']}, {a['given-names']}" for a in paper["authors"])
    assert fields["author"] == names and fields["title"] == paper["title"]
    assert fields["booktitle"] == paper["conference"]["name"]
    assert fields["series"] == paper["collection-title"]
    assert fields["pages"] == f"{paper['start']}--{paper['end']}"
    assert (fields["year"], fields["volume"]) == (str(paper["year"]), str(paper["volume"]))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert about["version"] == project["version"] and about["license"] == project["license"]


def test_embedded_data_is_small():
    """80 MB in all."""
    size = sum(
        path.stat().st_size
        for path in (ROOT / "data").rglob("*")
        if not {".state", ".snapshots", "sweeps"} & set(path.parts)
    )
    assert size < 80e6


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda p: p.name)
def test_notebooks_are_short_and_define_no_algorithm(path):
    """At most 300 lines; no function or class of their own; a kernel and parameters named."""
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    code = "\n".join(line for line in text.splitlines() if not line.startswith("# "))
    kinds = (ast.FunctionDef, ast.ClassDef)
    assert not [node for node in ast.walk(ast.parse(code)) if isinstance(node, kinds)]
    assert "kernelspec" in text and 'tags=["parameters", "hide-input"]' in text


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda p: p.name)
def test_tables_are_tables(path):
    """A cell that prints one says that its Markdown has some; else a page shows bars and dashes."""
    cells = re.split(r"^# %%", path.read_text(), flags=re.MULTILINE)
    tables = [cell for cell in cells if re.search(r"^markdown_table\(", cell, re.MULTILINE)]
    assert all('"markdown_format": "myst"' in cell.splitlines()[0] for cell in tables)


def test_readme_links_and_pictures_exist():
    """Every relative link of the prose files points at a file that git knows or will."""
    for name in ("README.md", "CONTRIBUTING.md", "data/README.md"):
        path = ROOT / name
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            if "://" not in target:
                assert (path.parent / target).exists(), (name, target)


def test_committed_scales_belong_to_committed_networks():
    """Calibrated on exactly these weights, with a run record."""
    for path in (ROOT / "data" / "scales").glob("*.json"):
        config = json.loads(path.read_text())["record"]["config"]
        weights = ROOT / "data" / "networks" / f"{config['network']}.safetensors"
        assert hashlib.sha256(weights.read_bytes()).hexdigest() == config["weights_sha256"]


# What makes a tensor of nothing but numbers. Unless it is told, it asks torch's defaults, which a
# user may have set.
MAKERS = {
    "arange", "empty", "eye", "full", "linspace", "logspace", "ones", "rand", "randint", "randn",
    "randperm", "tensor", "as_tensor", "zeros",
}  # fmt: skip
WHOLE = {"arange", "randint", "randperm"}  # of whole numbers, whatever the default


def test_every_tensor_is_told_its_type_and_place():
    """`torch.zeros(3)` would be float64 under `set_default_dtype`, or on another device."""
    untold = []
    for path in (ROOT / "elslib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func).startswith("torch.")):
                continue
            maker = ast.unparse(node.func).removeprefix("torch.")
            told = {keyword.arg for keyword in node.keywords}
            needed = {"device"} if maker in WHOLE else {"device", "dtype"}
            if maker in MAKERS and not needed <= told:
                untold.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
    assert not untold


def test_every_text_is_read_as_utf_8():
    """Else as the locale says, which may be ASCII."""
    unnamed = []
    for path in (ROOT / "elslib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                named = {keyword.arg for keyword in node.keywords}
                text = "text" in named  # of another process
                if (node.func.attr in ("read_text", "write_text") or text) and (
                    "encoding" not in named
                ):
                    unnamed.append(f"{path.name}:{node.lineno}")
    assert not unnamed
