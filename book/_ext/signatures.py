"""Signatures without what says nothing."""


def plain(app, what, name, obj, options, signature, returned):
    """No `<factory>`, as a dataclass marks made defaults, nor what a Protocol inherits."""
    if signature == "(*args, **kwargs)":
        return "", returned
    return signature and signature.replace("<factory>", "..."), returned


def setup(app):
    """After autodoc has found a signature."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-signature", plain)
    return {"parallel_read_safe": True}
