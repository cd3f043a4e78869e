"""The tab that prints the models' cards."""

import gradio as gr

from ui.models_view import all_cards

TITLE = "Models"


def build() -> None:
    """Build the tab's content inside a gr.Tab."""
    gr.HTML("<p>The weights in this program: what they were trained on, how well they do, and where they fail.</p>",
            elem_classes="summary", padding=False)
    gr.HTML(all_cards(), elem_classes="cards", elem_id="model-cards", padding=False)
