"""Files of a finished forecast: NetCDF by the CF conventions, the table of a place, and an animation."""

import csv
import io
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.errors import InputError
from engine.recipe import Recipe
from engine.tasks.forecast.chart import Chart, legend_bar
from engine.tasks.forecast.data import Domain
from engine.tasks.forecast.regrid import region
from engine.tasks.forecast.units import Unit

_CF = {"pressure": ("slp", "air_pressure_at_mean_sea_level"), "temperature": ("air", "air_temperature")}
_QUANTILES = (5, 25, 50, 75, 95)
_FRAME_MS, _LONGEST_PX, _MARGIN_PX, _TEXT_PX = 700, 420, 8, 15
_FRAMES = 12
_COLOURS = ("viridis", "cividis")
_PAPER, _INK = (255, 255, 255), (20, 20, 20)


def netcdf(members: np.ndarray, unit: Unit, lat: np.ndarray, lon: np.ndarray, lead_h: np.ndarray, start: np.datetime64,
           domain: Domain, recipe: Recipe, notes: tuple[str, ...]) -> bytes:
    """NetCDF-4 bytes (CF-1.11) of members (realization, time, lat, lon), shown unit; the recipe is an attribute."""
    import xarray

    short, standard = _CF.get(domain.name, (domain.variable, ""))
    times = start.astype("datetime64[ns]") + (lead_h * 3600e9).astype("timedelta64[ns]")
    coordinates = {
        "realization": ("realization", np.arange(1, len(members) + 1, dtype=np.int32),
                        {"standard_name": "realization", "units": "1", "long_name": "member of the ensemble"}),
        "time": ("time", times, {"standard_name": "time", "axis": "T"}),
        "lat": ("lat", lat, {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}),
        "lon": ("lon", lon, {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}),
        "forecast_period": ("time", np.float64(lead_h), {"standard_name": "forecast_period", "units": "hours"}),
        "forecast_reference_time": ((), start.astype("datetime64[ns]"), {"standard_name": "forecast_reference_time"})}
    about = {"units": unit.cf, "long_name": domain.title} | ({"standard_name": standard} if standard else {})
    data = xarray.Dataset(
        {short: (("realization", "time", "lat", "lon"), members, about)}, coordinates,
        {"Conventions": "CF-1.11", "title": f"Ensemble forecast: {domain.title}",
         "source": f"Diffuscope, model {recipe.model}, weights {recipe.model_sha256[:12] or 'not stored'}",
         "comment": " ".join(("Research demonstration, not for operational use.", *notes)), "recipe": recipe.write()})
    # Times that decode without rounding, in every reader.
    clock = {"units": "hours since 1900-01-01 00:00:00", "calendar": "standard", "dtype": "float64", "_FillValue": None}
    plain = {name: {"_FillValue": None} for name in ("lat", "lon", "forecast_period")}
    return bytes(data.to_netcdf(engine="h5netcdf", encoding={
        short: {"zlib": True, "complevel": 4, "shuffle": True, "_FillValue": None}, "time": clock,
        "forecast_reference_time": clock} | plain))


def place(text_lat: str, text_lon: str, lat: np.ndarray, lon: np.ndarray) -> tuple[float, float] | None:
    """The chosen place, its longitude in the grid's own turn; None when none is. Raises InputError outside."""
    if not text_lat.strip() and not text_lon.strip():
        return None
    found = []
    for text, name in ((text_lat, "place_lat"), (text_lon, "place_lon")):
        try:
            found.append(float(text))
        except ValueError:
            raise InputError(f"{name} is {text.strip()[:20]!r}.", "A place needs two numbers, in degrees.",
                             "Give both, or leave both empty.", field=name) from None
    north, east = found
    if np.isfinite(east):
        east += 360 * round((lon.mean() - east) / 360)
    for value, axis, name in ((north, lat, "place_lat"), (east, lon, "place_lon")):
        if not axis[0] <= value <= axis[-1]:
            raise InputError(f"The place is at {north:g}, {found[1]:g} degrees.",
                             f"The forecast covers {region(lat, lon)}.", "Choose a place within it.", field=name)
    return north, east


def at_place(maps: np.ndarray, where: tuple[float, float], lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Maps (*, lat, lon) at a place, by bilinear interpolation: (*)."""
    rows, columns = (np.stack([np.interp(value, axis, unit) for unit in np.eye(len(axis))])
                     for value, axis in zip(where, (lat, lon)))
    return np.einsum("...yx,y,x->...", maps, rows, columns)


def place_csv(series: Mapping[str, np.ndarray], lead_h: np.ndarray, start: np.datetime64, unit: Unit,
              threshold: float) -> bytes:
    """A table by lead time. series: "members" (M, lead) and perhaps "climate" and "truth" (lead,), shown unit."""
    members = series["members"].astype(np.float64)
    spread = members.std(0, ddof=1) if len(members) > 1 else np.zeros(len(lead_h))
    columns = {"mean": members.mean(0), "spread": spread}
    columns |= {f"p{share:02d}": values for share, values in zip(_QUANTILES, np.percentile(members, _QUANTILES, 0))}
    columns[f"chance above {threshold:g}"] = (members > threshold).mean(0)
    columns |= {name: values for name, values in series.items() if name != "members"}
    columns |= {f"member {number}": values for number, values in enumerate(members, 1)}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["time (UTC)", "lead (h)", "unit", *columns])
    for row, hours in enumerate(lead_h):
        time = start + np.timedelta64(round(float(hours) * 3600), "s")
        numbers = (values[row] for values in columns.values())
        writer.writerow([str(time.astype("datetime64[m]")), f"{hours:g}", unit.cf,
                         *("" if np.isnan(value) else f"{value:.6g}" for value in numbers)])
    return out.getvalue().encode()


def animation(mean: np.ndarray, spread: np.ndarray, lat: np.ndarray, lon: np.ndarray, lead_h: np.ndarray,
              start: np.datetime64, unit: Unit) -> bytes:
    """An animated WebP of mean and spread (lead, lat, lon), side by side, in the shown unit.

    Of many leads every second, third ... one is shown, the last among them.
    """
    every = -(-len(lead_h) // _FRAMES)
    mean, spread, lead_h = (values[::-1][::every][::-1] for values in (mean, spread, lead_h))
    chart = Chart(lat, lon, _LONGEST_PX, unit.earth)
    low, high = bounds(mean, unit)
    widest = float(spread.max()) or 1.0
    maps = zip(chart.draw(mean, low, high, unit.contour, _COLOURS[0]), chart.draw(spread, 0, widest, 0, _COLOURS[1]))
    frames = [_frame(pictures, hours, start, (low, high), widest, unit) for pictures, hours in zip(maps, lead_h)]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], duration=_FRAME_MS, loop=0, quality=70)
    return out.getvalue()


def bounds(maps: np.ndarray, unit: Unit) -> tuple[float, float]:
    """Ends of the colour scale: the maps' own, to whole contour lines."""
    low, high = (float(edge) for edge in (maps.min(), maps.max()))
    return np.floor(low / unit.contour) * unit.contour, np.ceil(high / unit.contour) * unit.contour


def _frame(pictures: tuple[np.ndarray, np.ndarray], hours: float, start: np.datetime64, scale: tuple[float, float],
           widest: float, unit: Unit) -> Image.Image:
    high, wide = pictures[0].shape[:2]
    line = _TEXT_PX + _MARGIN_PX
    frame = Image.new("RGB", (2 * wide + 3 * _MARGIN_PX, high + 2 * line + _MARGIN_PX), _PAPER)
    draw, font = ImageDraw.Draw(frame), ImageFont.load_default(_TEXT_PX)
    time = start + np.timedelta64(round(float(hours) * 3600), "s")
    moment = str(time.astype("datetime64[m]")).replace("T", " ")
    titles = (f"Mean, +{hours:g} h: {moment} UTC", "Spread of the members")
    legends = (f"{scale[0]:g} to {scale[1]:g} {unit.sign}, a line every {unit.contour:g}",
               f"0 to {widest:.3g} {unit.sign}")
    for number, (pixels, title, legend, colours) in enumerate(zip(pictures, titles, legends, _COLOURS)):
        left = _MARGIN_PX + number * (wide + _MARGIN_PX)
        frame.paste(Image.fromarray(pixels), (left, line))
        draw.text((left, _MARGIN_PX // 2), title, _INK, font)
        bar = Image.fromarray(legend_bar(colours, wide // 3, _TEXT_PX))
        frame.paste(bar, (left, line + high + _MARGIN_PX // 2 + 2))
        draw.text((left + wide // 3 + _MARGIN_PX, line + high + _MARGIN_PX // 2), legend, _INK, font)
    return frame
