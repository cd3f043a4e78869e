"""What the measurements of the three-dimensional tasks say."""

from collections.abc import Iterable, Sequence

from engine.report.tables import Row, folded, groups, number, table, verdict

_TEETH = {"add_mm": ("ADD, mm", 3), "pa_add_mm": ("aligned ADD, mm", 3), "rotation_deg": ("rotation, degrees", 2),
          "csa": ("cosine of axes", 4), "arch_mm": ("arch curve, mm", 3), "collision_mm3": ("overlap, mm3", 2),
          "collisions": ("collisions", 2), "contact_mm": ("contacts, mm", 3), "six_keys": ("six keys", 3),
          "seconds": ("seconds", 3)}
_GEOMETRIC = ("identity", "average arrangement", "arch fit with packing")
_SMALL = ("add_mm", "pa_add_mm", "rotation_deg", "arch_mm", "collision_mm3", "collisions", "contact_mm")
_CLOUDS = {"chamfer_x1000": ("Chamfer x 1000", 2), "emd": ("EMD", 4), "f_score": ("F-score", 3),
           "one_nna": ("1-NNA", 3), "coverage": ("coverage", 3), "colour_accuracy": ("colour accuracy", 3),
           "part_miou": ("part mIoU", 3), "seconds": ("seconds", 2)}


def teeth(rows: Sequence[Row]) -> Iterable[str]:
    """One table per crowns and set, and what the goals say of the easy sets."""
    yield (f"Means over {rows[0]['patients']} virtual patients a set whom no training saw; errors in mm and degrees "
           "against the true arrangement. \"real\" crowns are drawn from a statistical model of patients' teeth, "
           "\"invented\" ones by the program. Little of an arrangement is determined by the crooked teeth alone; "
           "\"truth\" shows what the figures without a truth can reach. The keys are judged in the crowns' true axes, "
           "which no method is told.")
    for (crowns, name), group in groups(rows, "crowns", "set").items():
        text = table([{"method": row["method"]} | {shown: number(row.get(key), digits)
                                                  for key, (shown, digits) in _TEETH.items()} for row in group])
        title = f"{crowns.capitalize()} crowns, {name}"
        yield f"**{title}**\n\n{text}" if name == "easy" else folded(title, text)
        if name == "easy":
            yield from _arrangement(group)


def _arrangement(group: Sequence[Row]) -> Iterable[str]:
    by = {row["method"]: row for row in group}
    ours = next((row for name, row in reversed(by.items()) if name.startswith("ours, mean")), None)
    if ours is None:
        return
    demands = {f"ADD {ours['add_mm']:.2f} mm": ours["add_mm"] <= 0.7,
               f"rotation {ours['rotation_deg']:.2f} degrees": ours["rotation_deg"] <= 5}
    for key in _SMALL:
        best = min((by[name] for name in _GEOMETRIC if name in by), key=lambda row: row[key])
        demands[f"{_TEETH[key][0]} {ours[key]:.3f} against {best[key]:.3f} ({best['method']})"] = ours[key] < best[key]
    best = max((by[name] for name in _GEOMETRIC if name in by), key=lambda row: row["six_keys"])
    demands[f"six keys {ours['six_keys']:.3f} against {best['six_keys']:.3f} ({best['method']})"] = (
        ours["six_keys"] > best["six_keys"])
    rival = next((row for name, row in by.items() if name.startswith("regressor")), None)
    if rival is not None:
        demands |= {f"ADD {ours['add_mm']:.3f} against {rival['add_mm']:.3f} mm of the regressor":
                        ours["add_mm"] <= 1.1 * rival["add_mm"],
                    f"collisions {ours['collisions']:.2f} against {rival['collisions']:.2f} of the regressor":
                        ours["collisions"] < rival["collisions"]}
    yield verdict(f"{ours['method'][6:]}: ADD at most 0.7 mm, rotation error at most 5 degrees, each figure better "
                  "than every geometric method, ADD within 10 % of the regressor's with fewer collisions", len(demands),
                  [words for words, met in demands.items() if not met])


def pointcloud(rows: Sequence[Row]) -> Iterable[str]:
    """One table per source, and what the goals say of invented shapes."""
    for source, group in groups([row for row in rows if "clouds" in row], "source").items():
        yield f"**{source}, {group[0]['clouds']} held-out shapes**\n\n" + table([
            {"method": row["method"]} | {shown: number(row.get(key), digits)
                                         for key, (shown, digits) in _CLOUDS.items()} for row in group])
        by = {row["method"]: row for row in group}
        ours, retrieved = by.get("ours, sketch and text"), by.get("retrieval")
        if ours is not None and retrieved is not None:
            demands = _clouds(ours, retrieved, [by[name] for name in ("ours, sketch only", "ours, text only")
                                                if name in by])
            yield verdict("sketch and text: Chamfer at most 0.8 of retrieval's, 1-NNA at most 0.75, colour accuracy at "
                          "least 0.9, part mIoU at least 0.8, better than either condition alone", len(demands),
                          [words for words, met in demands.items() if not met])


def _clouds(ours: Row, retrieved: Row, alone: Sequence[Row]) -> dict[str, bool]:
    """Each demand in words, and whether it is met; figures that are not known make no demand."""
    share = ours["chamfer_x1000"] / retrieved["chamfer_x1000"]
    demands = {f"Chamfer {share:.2f} of retrieval's": share <= 0.8}
    for key, least, most in (("one_nna", 0.0, 0.75), ("colour_accuracy", 0.9, 1.0), ("part_miou", 0.8, 1.0)):
        if ours.get(key) is not None:
            demands[f"{_CLOUDS[key][0]} {ours[key]:.3f}"] = least <= ours[key] <= most
    for row in alone:
        demands[f"Chamfer {ours['chamfer_x1000']:.1f} against {row['chamfer_x1000']:.1f} ({row['method'][6:]})"] = (
            ours["chamfer_x1000"] < row["chamfer_x1000"])
    return demands
