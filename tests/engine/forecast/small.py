"""The forecast task on the invented record, with a network that answers 0: its ensembles are the linear model's."""

from dataclasses import replace

import torch

from engine import networks, schedules
from engine.models.card import Architecture, Card, ScheduleSpec
from engine.models.model import Model
from engine.tasks.forecast import training
from engine.tasks.forecast.data import Record
from engine.tasks.forecast.task import Forecast


def model(record: Record) -> Model:
    """An untrained model of the record."""
    torch.manual_seed(0)
    rows, columns = record.field.values.shape[1:]
    options = {"rows": rows, "columns": columns, "components": record.domain.components,
               "waves": len(record.model.climate.mean), "annual": record.domain.annual, "hourly": record.domain.hourly,
               "width": 16, "depth": 2}
    network = networks.build("forecaster", **options)
    network.load_state_dict(training.buffers(record), strict=False)
    card = Card(name="forecast_temperature", title="Invented", architecture=Architecture(kind="forecaster",
                options=options), schedule=ScheduleSpec(name="cosine"), prediction="v", resolution_px=columns)
    return Model(card.name, network.eval(), schedules.cosine(), card)


def task(record: Record) -> Forecast:
    """The task with this model alone, as the one of temperature."""
    made = model(record)
    return Forecast({"temperature": replace(record.domain, name="temperature")}, lambda name: made)
