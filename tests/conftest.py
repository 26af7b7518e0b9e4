"""Shapes and dtypes of public signatures are checked in tests, and only there."""

import matplotlib
from jaxtyping import install_import_hook

matplotlib.use("agg")
install_import_hook("elslib", "typecheck.check")
