"""Diffusion with forward models: the law of signals that nobody has seen, learned from observations of them alone."""

from engine.forward_models.rendered import Estimate, Render, Rendered, Seen, Triple, loss, told

__all__ = ["Estimate", "Render", "Rendered", "Seen", "Triple", "loss", "told"]
