"""Compiles the kernel for processors when elslib is installed: see elslib/posterior/native."""

import runpy
import sysconfig
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeBuildHook(BuildHookInterface):
    """Adds the compiled files to the wheel, whose name then says for which machines it is."""

    def initialize(self, version: str, build_data: dict) -> None:
        script = Path(self.root) / "elslib" / "posterior" / "native" / "build.py"
        files = runpy.run_path(str(script))["build"]()
        if any(path.suffix == ".so" for path in files):
            # Else nobody has tried this machine: elslib warns, and the reference engine answers.
            build_data["pure_python"] = False
            build_data["tag"] = "py3-none-" + sysconfig.get_platform().translate(
                str.maketrans("-.", "__")
            )
        build_data["artifacts"] += [str(path.relative_to(self.root)) for path in files]
