"""Score machines that are posteriors over training patches.

Start with `elslib.denoisers.machines` (the theory), `elslib.posterior` (the sum under it),
`elslib.samplers` and `elslib.networks`. Nothing is imported here, so that a part costs only what it
needs.
"""
