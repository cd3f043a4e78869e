"""The results section of the README: what the measurements say, said once, and the same each time."""

import json
import re

import pytest

from engine import report
from engine.__main__ import _dump, main
from engine.errors import InputError

PAGE = f"# Title\n\nBefore.\n\n{report.BEGIN}\nold\n{report.END}\n\nAfter.\n"


def restored(degradation, method, psnr_db, ssim, seconds=0.5):
    return {"degradation": degradation, "method": method, "psnr_db": psnr_db, "ssim": ssim, "seconds": seconds,
            "pictures": 20, "strength": 0.5}


RESTORATION = [
    restored("noise", "input", 20.17, 0.35, 0.0), restored("noise", "median", 26.0, 0.7),
    restored("noise", "bilateral", 27.125, 0.65), restored("noise", "ours, 5 steps", 29.0, 0.81, 0.3),
    restored("noise", "ours, mean of 4", 29.5, 0.83),
    restored("drops", "input", 23.0, 0.85, 0.0), restored("drops", "median", 22.0, 0.8),
    restored("drops", "ours, 5 steps", 23.4, 0.9, 0.5), restored("drops", "ours, mean of 4", 24.25, 0.91),
    restored("haze", "input", 12.0, 0.5, 0.0), restored("haze", "dark channel", 20.0, 0.9),
    restored("haze", "ours, 5 steps", 25.0, 0.89, 0.4), restored("haze", "ours, mean of 4", 25.5, 0.895),
]


def painted(hole, method, psnr_db, spectral_error):
    return {"set": "flowers, 128 px", "hole": hole, "method": method, "psnr_db": psnr_db, "ssim": 0.5,
            "spectral_error": spectral_error, "boundary_jump": -0.01, "seconds": 1.5, "pictures": 24}


INPAINTING = [
    painted("thin", "biharmonic", 30.0, 0.2), painted("thin", "ours, one sample", 29.0, 0.05),
    painted("thin", "ours, mean of 8", 29.5, 0.1),
    painted("free_form", "biharmonic", 20.0, 1.2), painted("free_form", "telea", 19.5, 1.0),
    painted("free_form", "ours, one sample", 19.0, 0.5), painted("free_form", "ours, mean of 8", 21.25, 0.8),
    painted("centre_box", "biharmonic", 18.0, 1.2), painted("centre_box", "telea", 18.5, 1.0),
    painted("centre_box", "ours, one sample", 17.0, 0.6), painted("centre_box", "ours, mean of 8", 18.25, 0.8),
]
BENCH = [
    {"title": "Overhead per step", "rows": [
        {"solver": "ddim", "ours ms": 0.05, "bare ms": 0.02, "over bare ms": 0.03, "diffusers ms": 0.3},
        {"solver": "ddpm", "ours ms": 0.09, "bare ms": 0.03, "over bare ms": 0.06, "diffusers ms": None},
        {"solver": "heun", "ours ms": 0.1, "bare ms": 0.03, "over bare ms": 0.07, "diffusers ms": 0.2}]},
    {"title": "Whole run", "rows": [{"solver": "ddim", "run s": 0.5, "ratio": 1.02, "previews": 4.0}]},
    {"title": "Together", "rows": [
        {"px": 64, "dtype": "float32", "at once s": 0.5, "throughput": 1.2},
        {"px": 64, "dtype": "bfloat16", "at once s": 0.4, "throughput": 1.6}]},
    {"title": "Accuracy", "rows": [{"solver": f"s{i}", "ours 10": "1.0e-02", "diffusers 10": "-"} for i in range(20)]},
]


@pytest.fixture
def measured(tmp_path):
    """A folder with the three files as the command line writes them."""
    folder = tmp_path / "results"
    folder.mkdir()
    for name, rows in (("restoration", RESTORATION), ("inpainting", INPAINTING), ("bench", BENCH)):
        _dump(folder / f"{name}.json", rows)
    return folder


def tables(text: str) -> list[list[dict[str, str]]]:
    """The Markdown tables of a text, as rows by column."""
    found, lines = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            lines.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif lines:
            found.append([dict(zip(lines[0], cells, strict=True)) for cells in lines[2:]])
            lines = []
    return found


def test_the_readme_says_what_was_measured_and_nothing_else():
    text = report.README.read_text(encoding="utf-8")
    assert report.placed(text, report.section(report.RESULTS)) == text, "run: python -m engine report"


def test_restoration_comes_back_from_the_table(measured):
    noise, drops, haze = tables(report.section(measured))[0]
    assert noise == {"degradation": "noise", "input": "20.17", "best classical": "27.12 (bilateral)",
                     "ours, 5 steps": "29.00", "ours, mean of 4": "29.50", "gain": "+1.88", "SSIM classical": "0.700",
                     "SSIM ours": "0.810", "goal met": "yes"}
    # Nothing classical is better than the input here; one sample gains too little, the mean enough.
    assert drops["best classical"] == "23.00 (nothing helps)" and drops["gain"] == "+0.40"
    assert drops["goal met"] == "with the mean of 4"
    # A gain in PSNR alone is not the goal.
    assert haze["gain"] == "+5.00" and haze["goal met"] == "no"


def test_restoration_names_its_facts_and_shortfalls(measured):
    text = report.section(measured)
    assert "mean of 20 pictures at strength 0.5" in text and "0.4 s a picture" in text
    assert "Met in 1 of 3 cases; missed in drops (+0.40 dB, SSIM +0.050), haze (+5.00 dB, SSIM -0.010)." in text


def test_inpainting_comes_back_from_the_tables(measured):
    found = tables(report.section(measured))[1:6]
    psnr, spectral, ssim, jump, seconds = found
    assert psnr[1] == {"set": "flowers, 128 px", "hole": "free form", "biharmonic": "20.00", "telea": "19.50",
                       "ours, one sample": "19.00", "ours, mean of 8": "21.25"}
    assert [row["ours, one sample"] for row in spectral] == ["0.050", "0.500", "0.600"]
    assert ssim[0]["biharmonic"] == "0.500" and jump[0]["biharmonic"] == "-0.010"
    assert seconds[0]["biharmonic"] == "1.500"
    assert psnr[0]["telea"] == ""


def test_inpainting_is_judged_by_its_goals(measured):
    text = report.section(measured)
    assert "24 of flowers, 128 px" in text
    # Thin holes are not asked for in PSNR; half of 1.0 is just reached.
    assert "Met in 1 of 2 cases; missed in centre box of flowers, 128 px (18.2 against 18.5)." in text
    assert "Met in 2 of 3 cases; missed in centre box of flowers, 128 px (0.6 against 1)." in text


def test_bench_tables_fold_when_long_and_are_judged(measured):
    text = report.section(measured)
    assert "Met in 2 of 3 cases; missed in ddpm (0.06)." in text  # heun takes two calls and is below diffusers
    assert "Met in 1 of 1 cases." in text
    assert "missed in 64 float32 (1.2)." in text
    assert "<details><summary>Accuracy</summary>" in text and "**Overhead per step**" in text
    overhead, whole, _, accuracy = tables(text)[6:]
    assert overhead[1] == {"solver": "ddpm", "ours ms": "0.09", "bare ms": "0.03", "over bare ms": "0.06",
                           "diffusers ms": "–"}
    assert whole[0]["ratio"] == "1.02" and len(accuracy) == 20


def test_a_step_above_diffusers_misses_the_goal():
    rows = [{"title": "t", "rows": [{**BENCH[0]["rows"][2], "diffusers ms": 0.1}]}]
    assert "Met in 0 of 1 cases; missed in heun" in "\n".join(report.bench.bench(rows))


def test_writing_is_idempotent_and_touches_only_the_section(measured, tmp_path):
    page = tmp_path / "README.md"
    page.write_text(PAGE, encoding="utf-8")
    assert report.write(page, measured) is True
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# Title\n\nBefore.\n\n{report.BEGIN}\n### Restoration\n") and "old" not in text
    assert text.endswith(f"\n{report.END}\n\nAfter.\n")
    assert [text.index(f"### {name}") for name in ("Restoration", "Inpainting", "Bench")] == sorted(
        text.index(f"### {name}") for name in ("Restoration", "Inpainting", "Bench"))
    assert report.write(page, measured) is False and page.read_text(encoding="utf-8") == text


def test_without_measurements_it_says_so(tmp_path):
    assert report.section(tmp_path) == report.section(tmp_path / "missing")
    assert report.section(tmp_path).startswith("Nothing was measured yet.")


def test_a_second_machine_gets_its_own_part(measured):
    _dump(measured / "restoration_gpu.json", RESTORATION[:5])
    text = report.section(measured)
    assert "### Restoration\n" in text and "### Restoration, restoration_gpu\n" in text


@pytest.mark.parametrize("content", ["", "[]", "{}", "[1]", '[{"a": 1}]', json.dumps([*RESTORATION[:2], {"a": 1}])])
def test_files_that_hold_no_measurement_are_named(tmp_path, content):
    (tmp_path / "odd.json").write_text(content)
    with pytest.raises(InputError, match=r"odd.json holds no measurement"):
        report.section(tmp_path)


def test_numbers_that_were_not_finite_are_dashes(tmp_path):
    _dump(tmp_path / "restoration.json", [*RESTORATION[:3], restored("noise", "ours, 5 steps", float("inf"), 1.0)])
    row = tables(report.section(tmp_path))[0][0]
    assert row["ours, 5 steps"] == "–" and row["goal met"] == "yes"


@pytest.mark.parametrize("text", ["", report.BEGIN, report.END + report.BEGIN, PAGE + PAGE, PAGE + report.END])
def test_a_readme_without_its_place_is_refused(text):
    with pytest.raises(InputError, match="no place for the results"):
        report.placed(text, "new")


def test_the_command(measured, tmp_path, capsys):
    page = tmp_path / "README.md"
    page.write_text(PAGE)
    said = []
    for words in (["report"], ["report"], ["report", "--readme", str(tmp_path / "no.md")]):
        with pytest.raises(SystemExit) as caught:
            main([words[0], "--readme", str(page), "--results", str(measured), *words[1:]])
        said.append((caught.value.code or 0, "".join(capsys.readouterr())))
    assert said[:2] == [(0, "The results were written.\n"), (0, "The results were up to date.\n")]
    assert said[2][0] == 2 and "no.md could not be read" in said[2][1]


# Super-resolution.

def enlarged(method, psnr_db, spectral_error, **more):
    return {"method": method, "psnr_db": psnr_db, "ssim": 0.9, "spectral_error": spectral_error,
            "high_spectral_error": spectral_error, "consistency": 1.0, "seconds": 0.1, "pictures": 7} | more


@pytest.mark.parametrize(("mean_db", "spectral", "met"), [(32.5, 0.6, (1, 1)), (31.9, 0.8, (0, 0))])
def test_super_resolution_is_judged_by_its_goals(tmp_path, mean_db, spectral, met):
    rows = [enlarged("bicubic", 31.25, 1.5), enlarged("ours, one sample", 29.0, spectral),
            enlarged("ours, mean of 8", mean_db, 0.9, coverage=0.75)]
    _dump(tmp_path / "superres.json", rows)
    text = report.section(tmp_path)
    assert [int(found) for found in re.findall(r"Met in (\d) of 1", text)] == list(met)
    assert tables(text)[0][2]["truth in the range of the samples"] == "0.750"


def test_the_other_kinds_of_super_resolution_have_tables_and_goals_of_their_own(tmp_path):
    rows = [enlarged("bicubic", 31.25, 1.5), enlarged("ours, one sample", 29.0, 0.4),
            enlarged("ours, mean of 8", 32.5, 0.9, coverage=0.75)]
    for steps, gain in ((5, 0.3), (10, 0.01)):
        rows += [enlarged(f"{name} start", 30 + own, 0.2, kind=f"start noise, {steps} steps", psnr_error_db=0.05)
                 for name, own in (("random", 0), ("searched", gain), ("zero", 1.5))]
    rows += [enlarged("bicubic", 22.5, 2.0, kind="photographs, flowers"),
             enlarged("ours, estimate", 23.5, 0.9, kind="photographs, flowers")]
    rows += [enlarged("gamma", 15.0, 2.0, kind="dark flowers, 3 stops"),
             enlarged("ours, estimate", 20.0, 0.9, kind="dark flowers, 3 stops"),
             enlarged("ours, estimate, known", 21.0, 0.9, kind="dark flowers, 3 stops")]
    _dump(tmp_path / "superres.json", rows)
    text = report.section(tmp_path)
    assert "Met in 1 of 2 cases; missed in 10 steps (+0.01 ± 0.05 dB)" in text and text.count("Met in 1 of 1") == 4
    _, starts, photographs, dark = tables(text)
    assert starts[0]["gain of the search, dB"] == "+0.30 ± 0.05" and len(photographs) == 2
    assert dark[0]["set"] == "flowers, 3 stops" and dark[0]["ours, estimate, known"] == "21.00 / 0.900"


def test_segmentation_is_judged_against_the_unet_and_its_own_goals(tmp_path):
    row = {"set": "nuclei", "method": "plain U-Net", "dice": 0.93, "iou": 0.87, "brier": 0.03,
           "calibration_error": 0.02, "doubt_auroc": 0.9, "seconds": 0.1, "pictures": 2}
    ours = row | {"method": "ours, 8 samples, 10 steps", "dice": 0.89, "brier": 0.02, "calibration_error": 0.01}
    (tmp_path / "segmentation.json").write_text(json.dumps([row, ours]))
    text = report.section(tmp_path)
    assert "Met in 4 of 6 cases; missed in Dice 0.890, Dice -0.040 against the U-Net." in text


def test_contrast_lists_variants_that_were_not_trained_and_names_what_no_change_does_better(tmp_path):
    plain = {"method": "no change", "target": "", "told": "nothing", "samples": 1, "mae": 0.03, "psnr_db": 20.0,
             "ssim": 0.8, "region_mae": 0.3, "slices": 3}
    ours = plain | {"method": "ours, subtraction, mean of 8", "target": "subtraction", "samples": 8, "mae": 0.02,
                    "psnr_db": 21.0, "ssim": 0.7}
    told = ours | {"told": "region", "mae": 0.01}
    (tmp_path / "contrast.json").write_text(json.dumps([plain, ours, told]))
    text = report.section(tmp_path)
    assert text.count("not trained") == 9 and "Met in 2 of 3 cases; missed in ssim 0.7 against 0.8." in text
