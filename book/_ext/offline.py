"""Keep the built pages from asking other hosts for anything."""


def drop_remote_scripts(app, pagename, templatename, context, doctree):
    """Remove scripts and styles that an extension adds from elsewhere (thebe, from a CDN)."""
    for kind in ("script_files", "css_files"):
        kept = (file for file in context.get(kind, []) if "://" not in str(file.filename))
        context[kind] = list(kept)


def setup(app):
    """Run after every other extension has added its scripts."""
    app.connect("html-page-context", drop_remote_scripts, priority=900)
    return {"parallel_read_safe": True}
