"""Diffuscope's engine: diffusion models, their solvers and the tasks they solve. Knows nothing of the browser."""
