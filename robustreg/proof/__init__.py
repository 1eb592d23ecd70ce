"""An independent proof of how far coefficients are from optimal; it uses nothing of the solvers."""
