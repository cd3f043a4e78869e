"""The solvers one by one: a drawer for each, with its equation, its idea, its paper, order, calls and good range."""

import gradio as gr

from engine.options import Option
from engine.solvers import SolverRow, catalogue
from engine.solvers.notes import SYMBOLS, notes

_DELIMITERS = [{"left": "$$", "right": "$$", "display": True}, {"left": "$", "right": "$", "display": False}]


def build() -> None:
    """Build the view inside a gr.Tab."""
    with gr.Column(elem_id="tab-solvers", elem_classes="drawers"):
        gr.HTML(f"<p>All {len(catalogue())} solvers. Open one to see how it works.</p>", elem_classes="summary",
                padding=False)
        gr.Markdown(SYMBOLS, latex_delimiters=_DELIMITERS, elem_classes="symbols")
        gr.Markdown("\n\n".join(drawer(row) for row in catalogue()), latex_delimiters=_DELIMITERS,
                    elem_id="solver-drawers")


def drawer(row: SolverRow) -> str:
    """One solver as Markdown that opens and closes."""
    known = notes(row.name)
    random = "" if row.deterministic else ", random"
    facts = [("Paper", row.paper), ("Order", f"{row.order} with the default options{random}"),
             ("Calls", f"{_calls(row)}; {row.steps[1]} steps make {row.calls(row.steps[1])}"),
             ("Good range", known.good_steps),
             ("Spacing", ", ".join(name.replace("_", " ") for name in row.spacings) or "any"),
             *((f"Option: {option.label}", _option(option)) for option in row.options)]
    if row.needs:
        facts.append(("Needs", f"a {row.needs} made for the model"))
    lines = "\n".join(f"- **{name}:** {text}" for name, text in facts)
    head = f"order {row.order} · {_calls(row)}{random} · {known.good_steps}"
    return (f"<details id=\"drawer-{row.name}\"><summary><strong>{row.title}</strong> <span>{head}</span></summary>\n\n"
            f"$${known.equation}$$\n\n{known.text}\n\n{lines}\n\n</details>")


def _calls(row: SolverRow) -> str:
    return f"{row.nfe_per_step:g} call{'' if row.nfe_per_step == 1 else 's'} per step"


def _option(option: Option) -> str:
    values = ", ".join(option.choices) or {True: "on", False: "off"}.get(option.default, f"{option.default:g}")
    return f"{option.help} ({values})" if option.choices else f"{option.help} (starts at {values})"
