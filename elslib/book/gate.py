"""What an executed notebook must be to be published."""

from pathlib import Path

import nbformat

from elslib.book.chapters import ROOT, Notebook
from elslib.book.staleness import stale_by


def gate(notebooks: list[Notebook], root: Path = ROOT) -> None:
    """Raise ValueError unless each notebook may be published.

    Jupyter Book would publish a failed one without a word. Refused are: a missing one, one with an
    exception, an error output or an unexecuted cell, and one that is not current.
    """
    for notebook in notebooks:
        path = notebook.target
        if not path.is_file():
            raise ValueError(f"{path} must exist to be published; run `make book`.")
        content = nbformat.read(path, as_version=4)
        record = content.metadata.get("papermill", {})
        if record.get("exception") or not record.get("end_time"):
            raise ValueError(f"{path} must have run without an exception; see its last output.")
        for cell in content.cells:
            outputs = cell.get("outputs", [])
            if any(output.output_type == "error" for output in outputs):
                raise ValueError(f"{path} must hold no error output, got one in {cell.id}.")
            if cell.cell_type == "code" and cell.source.strip() and not cell.execution_count:
                raise ValueError(f"{path} must be executed to the end, but {cell.id} was not.")
        parameters = record.get("parameters", {})
        if other := stale_by(content.metadata, notebook.source, parameters, root):
            raise ValueError(
                f"{path} must be up to date with its source and what it uses, but other than when "
                f"it ran, or written meanwhile: {', '.join(other)}; run `make book` again."
            )
