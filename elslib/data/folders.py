"""Where things are: image sets in the checkout's data/ and in the folder ELSLIB_DATA, networks and
what is made of them in the project."""

import os
import shlex
import tempfile
from pathlib import Path


def data_folder() -> Path:
    """The checkout's data/ folder. FileNotFoundError, saying how to get it, outside a checkout."""
    for folder in (Path(__file__).parents[2] / "data", cache_folder()):
        if (folder / "manifest.json").is_file():
            return folder
    raise FileNotFoundError(
        f"the embedded image sets are not here: they belong to the repository, not to the wheel. "
        f"Clone it and set ELSLIB_DATA to its data/ folder (now {cache_folder()}), or use a full "
        f"set, for example load('fashion_mnist', download=True)."
    )


def cache_folder() -> Path:
    """Where full sets are looked for and downloaded to: ELSLIB_DATA, else ~/.cache/elslib; for a
    user without a home a folder among the temporary ones."""
    if named := os.environ.get("ELSLIB_DATA"):
        return Path(named)
    try:
        return Path.home() / ".cache" / "elslib"
    except RuntimeError:  # neither HOME nor an entry in passwd
        return Path(tempfile.gettempdir()) / f"elslib-{os.getuid()}"


def project_folder() -> Path:
    """What holds networks/, scales/, results/ and sweeps/: the folder ELSLIB_PROJECT, which
    `--project` sets, else the data/ folder of the checkout, else the current folder."""
    if asked := os.environ.get("ELSLIB_PROJECT"):
        return Path(asked)
    checkout = Path(__file__).parents[2] / "data"
    return checkout if (checkout / "manifest.json").is_file() else Path.cwd()


def command(words: str) -> str:
    """An `elslib` command to be copied, for the project at hand."""
    asked = os.environ.get("ELSLIB_PROJECT")
    return f"`elslib {words}{f' --project {shlex.quote(asked)}' if asked else ''}`"
