"""From notebooks to pages: executing, checking, gluing, building."""

import sys

# To check notebooks, jsonschema would build a grammar of web addresses at its import, a second of
# every process, and no notebook's schema asks for it.
sys.modules.setdefault("rfc3987_syntax", None)  # pyright: ignore
