"""Score machines that are posteriors over training patches.

`import elslib` offers the names of `__init__.pyi`, each loaded with its module when it is first
used: so that a part costs only what it needs. Everything else is imported from its module.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
