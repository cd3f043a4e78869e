"""The tab where solvers are compared, measured and looked into."""

from dataclasses import dataclass

import gradio as gr

from ui.laboratory import drawers
from ui.laboratory.compare import CompareView
from ui.laboratory.curves import CurvesView
from ui.laboratory.forward import ForwardView
from ui.laboratory.inverse import InverseView
from ui.laboratory.play import PlayView
from ui.laboratory.spectrum import SpectrumView
from ui.laboratory.steer import SteerView
from ui.laboratory.theory import TheoryView

NAME, TITLE = "laboratory", "Laboratory"
_VIEWS = {"Compare": CompareView, "Error curves": CurvesView, "Playground": PlayView, "Steer": SteerView,
          "Inverse problems": InverseView, "Forward models": ForwardView, "Theory": TheoryView,
          "Spectrum": SpectrumView}


@dataclass(frozen=True)
class Laboratory:
    """The views with settings of their own."""

    views: tuple[CompareView | CurvesView | PlayView | SteerView | InverseView | ForwardView | TheoryView
                 | SpectrumView, ...]

    def restore(self, demo: gr.Blocks) -> None:
        """Bring back the settings that the browser kept, when the page loads."""
        for view in self.views:
            view.restore(demo)


def build() -> Laboratory:
    """Build the tab's content inside a gr.Tab."""
    views = []
    with gr.Tabs(elem_classes="views"):
        for title, view in _VIEWS.items():
            with gr.Tab(title):
                views.append(view())
        with gr.Tab("Solvers"):
            drawers.build()
    return Laboratory(tuple(views))
