"""The message area of a tab: stays until dismissed, marks the field that it is about."""

from typing import Any

import gradio as gr

from engine.errors import InputError
from engine.runtime.execution import Failed

_TEMPLATE = """<div class="notice" hidden><p class="notice-text" role="alert"></p>
<button type="button" class="notice-close" aria-label="Dismiss the message">Dismiss</button></div>"""

_SCRIPT = """
const box = element.querySelector(".notice"), text = element.querySelector(".notice-text");
let marked = null;
const unmark = () => { if (marked) { marked.classList.remove("field-error"); marked = null; } };
const show = () => {
  const value = props.value;
  unmark();
  box.hidden = !(value && value.text);
  text.textContent = value && value.text ? value.text : "";
  box.dataset.kind = value ? value.kind : "";
  if (value && value.field) {
    marked = document.getElementById(value.field);
    if (marked) marked.classList.add("field-error");
  }
};
element.querySelector(".notice-close").addEventListener("click", () => { props.value = null; show(); });
watch("value", show);
show();
"""


def area(elem_id: str) -> gr.HTML:
    """The component; its value is None or what `error` and `failed` give."""
    return gr.HTML(None, html_template=_TEMPLATE, js_on_load=_SCRIPT, apply_default_css=False, elem_id=elem_id,
                   elem_classes="message", padding=False)


def error(task: str, problem: InputError) -> dict[str, Any]:
    """An error, with the id of the field it concerns."""
    return {"kind": "error", "text": str(problem), "field": f"{task}-{problem.field}" if problem.field else ""}


def failed(task: str, event: Failed) -> dict[str, Any]:
    """The end of a run that did not finish."""
    return {"kind": "error", "text": event.message, "field": f"{task}-{event.field}" if event.field else ""}
