"""Docstrings are plain text with backticks: set them as such, not as reStructuredText.

A word in single backticks is code. A list of names, each two spaces or more away from its
meaning, is a definition list. What is indented is a formula or an example and stays as it is.
"""

import re

ENTRY = re.compile(r"(\S+(?: \S+)*) {2,}(\S.*)")
CODE = re.compile(r"(`[^`]+`)")


def rewrite(app, what, name, obj, options, lines):
    """What autodoc asks of a listener: change the lines in place."""
    lines[:] = restructured("\n".join(lines)).split("\n")


def restructured(text: str) -> str:
    """A plain docstring as reStructuredText that shows the same."""
    return "\n\n".join(_block(block) for block in re.split(r"\n\s*\n", text.strip("\n"))) + "\n"


def _block(block: str) -> str:
    lines = block.split("\n")
    if ENTRY.fullmatch(lines[0]) and all(ENTRY.fullmatch(x) or x[:1] == " " for x in lines):
        return "\n".join(_entry(line) for line in lines)
    if lines[0].startswith(" "):
        return ".. code-block:: text\n\n" + "\n".join(f"    {line}" for line in lines)
    return _inline(block)


def _entry(line: str) -> str:
    """A term and its meaning, or a further line of a meaning."""
    if line.startswith(" "):
        return f"    {_inline(line.strip())}"
    term, meaning = ENTRY.fullmatch(line).groups()
    return f"``{term}``\n    {_inline(meaning)}"


def _inline(text: str) -> str:
    """Words between backticks as code, all else free of markup."""
    parts = CODE.split(text)
    parts[::2] = (re.sub(r"([\\*|_])", r"\\\1", part) for part in parts[::2])
    parts[1::2] = (f"`{part}`\\ " for part in parts[1::2])  # a letter may follow at once
    return "".join(parts)


def plain_signature(app, what, name, obj, options, signature, returned):
    """Without what says nothing: how a dataclass marks made defaults, what a Protocol inherits."""
    if signature == "(*args, **kwargs)":
        return "", returned
    return signature and signature.replace("<factory>", "..."), returned


def setup(app):
    """Before anything else looks at the lines."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", rewrite)
    app.connect("autodoc-process-signature", plain_signature)
    return {"parallel_read_safe": True}
