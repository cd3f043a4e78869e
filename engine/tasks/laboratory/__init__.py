"""The solver laboratory: comparisons, error curves and the two-dimensional playground."""
