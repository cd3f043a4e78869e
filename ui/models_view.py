"""Model cards for people: one line under each tab, and the whole card in the Models tab."""

import html

from engine.errors import InputError
from engine.models import Card, card, names
from engine.tasks.base import Task
from ui import figures


def model_line(task: Task) -> str:
    """What runs in a tab: weights, training data with licences, known failures."""
    lines = [_line(name) for name in task.models]
    return "".join(f"<p>{line}</p>" for line in lines) or "<p>This task needs no weights.</p>"


def _line(name: str) -> str:
    try:
        entry = card(name)
    except InputError as problem:
        return f"<strong>{html.escape(name)}</strong>: {html.escape(str(problem))}"
    training = entry.training
    text = f"<strong>{html.escape(entry.title)}</strong>, {entry.parameters / 1e6:.1f} M parameters"
    if training.data:
        text += f", trained for {training.minutes:.0f} minutes on {html.escape(', '.join(training.data))}"
    if training.licences:
        text += f" ({html.escape(', '.join(dict.fromkeys(training.licences)))})"
    if entry.failures:
        text += f". Known to fail: {html.escape(' '.join(line.rstrip('.') + '.' for line in entry.failures))}"
    return " ".join(filter(None, (text.rstrip(".") + ".", html.escape(entry.note))))


def all_cards() -> str:
    """Every shipped model's card as HTML."""
    shown = [_card(card(name)) for name in names()]
    return "".join(shown) or "<p class='empty'>No weights are installed yet. They belong in assets/models.</p>"


def _card(entry: Card) -> str:
    training = entry.training
    facts = {"Name": entry.name, "Task": entry.task,
             "Network": f"{entry.architecture.kind}, {entry.parameters:,} parameters",
             "Trained at": f"{entry.resolution_px} px", "Predicts": entry.prediction, "Schedule": entry.schedule.name,
             "Classes": ", ".join(entry.classes[:20]), "Training data": "; ".join(training.data),
             "Licences": "; ".join(training.licences),
             "Training": f"{training.minutes:.0f} min on {training.device}, {training.iterations:,} iterations, "
                         f"{training.samples:,} samples" if training.minutes else "",
             "Command": training.command, "Note": entry.note, "SHA-256": entry.sha256}
    known = {name: value for name, value in facts.items() if value}
    parts = [f"<h2>{html.escape(entry.title)}</h2>", figures.pairs(known)]
    if entry.metrics:
        head = list(dict.fromkeys(key for row in entry.metrics for key in row))
        parts += ["<h3>Measured on held-out data</h3>",
                  figures.table(head, [[row.get(key, "") for key in head] for row in entry.metrics])]
    if entry.failures:
        parts += ["<h3>Known failures</h3>", figures.bullets(entry.failures)]
    return f"<section class='card model-card'>{''.join(parts)}</section>"
