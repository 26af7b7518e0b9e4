"""Keep the built pages from asking other hosts for anything."""


def drop_remote_scripts(app, pagename, templatename, context, doctree):
    """Remove scripts and styles that an extension adds from elsewhere (thebe, from a CDN).

    And thebe's inline settings, which are of no use without it and are declared twice.
    """
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context.get(kind, []) if not _unwanted(file)]


def _unwanted(file) -> bool:
    inline = getattr(file, "attributes", {}).get("body") or ""
    return "://" in str(file.filename) or "thebe" in inline.lower()


def setup(app):
    """Run after every other extension has added its scripts."""
    app.connect("html-page-context", drop_remote_scripts, priority=900)
    return {"parallel_read_safe": True}
