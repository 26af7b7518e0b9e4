"""Words of the glossary, explained where they are used: linked once a page, with a hover."""

import re

from docutils import nodes

GLOSSARY = "glossary"
# Terms that are ordinary words, too: linked only where a page says {term}.
ORDINARY = {"copy", "evidence", "interval", "origin", "piece", "r", "score", "seed", "time"}
NOT_IN = (nodes.reference, nodes.title, nodes.literal, nodes.literal_block, nodes.raw, nodes.math)


def explain(app, doctree, docname):
    """Link the first use of each term to the glossary; every such link says what it means."""
    if docname == GLOSSARY:
        return
    meanings = _meanings(app.env.get_doctree(GLOSSARY))
    home = app.builder.get_relative_uri(docname, GLOSSARY)
    linked = set()
    for link in doctree.findall(nodes.reference):
        place = (link.get("refuri") or "").partition("#")[2] or link.get("refid", "")
        if place in meanings:
            _, link["reftitle"] = meanings[place]
            linked.add(place)
    if docname != "index" and not docname.startswith("notebooks/"):
        return
    pattern, places = _spellings(meanings)
    for text in list(doctree.findall(nodes.Text)):
        if not _is_prose(text):
            continue
        parts, end = [], 0
        for match in pattern.finditer(str(text)):
            place = places[match[1].lower()]
            if place in linked:
                continue
            linked.add(place)
            link = nodes.reference("", match[0], internal=True, refuri=f"{home}#{place}")
            _, link["reftitle"] = meanings[place]
            parts += [nodes.Text(str(text)[end : match.start()]), link]
            end = match.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(str(text)[end:])])


def _meanings(glossary) -> dict[str, tuple[str, str]]:
    """Term and its first sentence, by the place of the term on the page."""
    found = {}
    for item in glossary.findall(nodes.definition_list_item):
        term = item.next_node(nodes.term)
        meaning = item.next_node(nodes.definition).next_node(nodes.paragraph).astext()
        sentence = re.split(r"(?<=[.]) ", " ".join(meaning.split()))[0]
        if "\\" in sentence:
            raise ValueError(f"The first sentence of {term.astext()!r} must do without formulas.")
        found[term["ids"][0]] = (term.astext(), sentence)
    return found


def _is_prose(text) -> bool:
    above, inside_paragraph = text.parent, False
    while above is not None:
        if isinstance(above, NOT_IN):
            return False
        inside_paragraph |= isinstance(above, nodes.paragraph | nodes.caption)
        above = above.parent
    return inside_paragraph


def _spellings(meanings) -> tuple[re.Pattern, dict[str, str]]:
    """A pattern that finds every term in prose, and the place of each, in small letters."""
    words = {name: place for place, (name, _) in meanings.items() if name.lower() not in ORDINARY}
    # "ELS machine" explains "ELS", too; "is" is not "IS".
    words |= {name.removesuffix(" machine"): place for name, place in words.items()}
    choices = "|".join(_spelt(name) for name in sorted(words, key=len, reverse=True))
    places = {name.lower(): place for name, place in words.items()}
    return re.compile(rf"\b({choices})(?:e?s)?\b"), places


def _spelt(name):
    """A pattern: a name in capitals as it is, any other in small letters as well."""
    return re.escape(name) if name.isupper() else f"(?i:{re.escape(name)})"


def setup(app):
    """When the pages' own references have been resolved."""
    app.connect("doctree-resolved", explain)
    return {"parallel_read_safe": True}
