"""The sections of the three-dimensional tasks, of forecasts and of style: goals are told from the rows."""

import pytest

from engine.report import forecast, shapes, style


def _arranged(method, add_mm, rotation_deg=3.0, collisions=1.0, better=1.0):
    return {"crowns": "real", "set": "easy", "method": method, "add_mm": add_mm, "pa_add_mm": better,
            "rotation_deg": rotation_deg, "csa": 0.99, "arch_mm": better, "collision_mm3": better,
            "collisions": collisions, "contact_mm": better, "six_keys": 0.9, "seconds": 0.1, "patients": 4}


def test_teeth_are_judged_against_the_best_geometric_method():
    rows = [_arranged("identity", 2.0, 8.0, 9.0, 2.0), _arranged("arch fit with packing", 1.0, 6.0, 8.0, 0.5),
            _arranged("truth", 0.0), _arranged("ours, mean of 8", 0.6), _arranged("ours, mean of 8, in contact", 0.65)]
    text = "\n".join(shapes.teeth(rows))
    # ADD, rotation and collisions are better; four figures are worse than the arch fit's, and the keys are no better.
    assert "Met in 5 of 10 cases" in text
    assert "arch curve, mm 1.000 against 0.500 (arch fit with packing)" in text


def test_a_regressor_adds_two_demands():
    rows = [_arranged("identity", 2.0, 8.0, 9.0, 2.0), _arranged("regressor, equal size", 0.5, collisions=0.5),
            _arranged("ours, mean of 8", 0.6)]
    text = "\n".join(shapes.teeth(rows))
    assert "Met in 9 of 12 cases" in text and "of the regressor" in text


def _cloud(method, chamfer, **known):
    return {"source": "invented", "method": method, "chamfer_x1000": chamfer, "emd": 0.1, "f_score": 0.5,
            "one_nna": 0.6, "coverage": 0.5, "colour_accuracy": None, "part_miou": None, "seconds": 1.0,
            "clouds": 8} | known


def test_unknown_figures_of_clouds_make_no_demand():
    rows = [_cloud("retrieval", 10.0), _cloud("ours, sketch and text", 9.0), _cloud("ours, text only", 20.0)]
    assert "Met in 2 of 3 cases; missed in Chamfer 0.90 of retrieval's" in "\n".join(shapes.pointcloud(rows))
    rows[1] |= {"colour_accuracy": 0.95, "part_miou": 0.7}
    assert "Met in 3 of 5 cases" in "\n".join(shapes.pointcloud(rows))


def _forecast(lead, method, crps, spread_skill=1.0, record="pressure"):
    return {"record": record, "lead_h": lead, "method": method, "unit": "hPa", "rmse": 2.0, "crps": crps,
            "spread_skill": spread_skill, "outer_ranks": 1.0, "energy": 3.0, "spectrum": 1.0, "seconds": 0.1,
            "starts": 10}


def test_linear_methods_count_at_early_leads_only():
    others = {"climatology": 5.0, "damped persistence": 4.0, "linear inverse model": 2.0}
    rows = [_forecast(lead, method, crps) for lead in (24, 240) for method, crps in {"ours": 3.0, **others}.items()]
    text = "\n".join(forecast.forecast(rows))
    assert "Met in 6 of 7 cases; missed in 24 h: CRPS 3.000 against 2.000 (linear inverse model)" in text


def test_the_known_world_is_judged_by_its_optimum():
    rows = [_forecast(6, "optimal (closed form)", 1.0, record="sphere"), _forecast(6, "ours", 1.04, record="sphere"),
            _forecast(12, "optimal (closed form)", 1.0, record="sphere"), _forecast(12, "ours", 1.06, record="sphere")]
    assert "Met in 1 of 2 cases" in "\n".join(forecast.forecast(rows))


@pytest.mark.parametrize(("slope", "met"), [(1.0, 4), (-1.0, 2)])
def test_dials_are_judged_by_their_rank_correlation(slope, met):
    def row(method, content, weight, ssim, distance):
        return {"method": method, "content": content, "style": weight, "ssim": ssim, "edges": 0.5,
                "style_distance": distance, "seconds": 1.0, "pictures": 6}

    rows = [row("colours, Reinhard", "", "", 0.9, 1.0)]
    rows += [row("ours", c, s, 0.6 + slope * 0.1 * c, 0.5 - slope * 0.01 * s) for c in (1, 2, 3) for s in (1, 2, 3)]
    rows += [{"method": "the autoencoder alone", "content": "", "style": "", "psnr_db": 27.0, "pictures": 20}]
    assert f"Met in {met} of 4 cases" in "\n".join(style.style(rows))
