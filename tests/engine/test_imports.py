"""Imports are cheap and arrows go down: checked in fresh interpreters and in the sources."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ENGINE = Path(__file__).resolve().parents[2] / "engine"
HEAVY = ("torch", "gradio", "diffusers")


def fresh(code: str) -> str:
    """stdout of a new interpreter at the root of the repository, which has to end well."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ENGINE.parent, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["engine.errors", "engine.recipe", "engine.io", "engine.models", "engine.tasks",
                                    "engine.runtime.settings", "engine.__main__"])
def test_importing_needs_nothing_heavy(module):
    assert fresh(f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])") == "[]\n"


def test_help_and_the_models_need_nothing_heavy():
    code = ("import sys, contextlib, io\nfrom engine.__main__ import main\n"
            "for words in (['--help'], ['run', '--help'], ['models']):\n"
            "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:\n"
            "        main(words)\n"
            f"print([m for m in {HEAVY} if m in sys.modules])")
    assert fresh(code).splitlines()[-1] == "[]"


def imported(path: Path) -> set[str]:
    """Full names of the modules that a source file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


SOURCES = sorted(ENGINE.rglob("*.py"))


def test_there_are_sources_to_scan():
    assert len(SOURCES) > 20


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ENGINE)))
def test_the_engine_knows_nothing_of_the_browser(path):
    assert not [name for name in imported(path) if name.split(".")[0] in ("ui", "app", "gradio")]


MATHEMATICS = [*(ENGINE / "schedules").glob("*.py"), *(ENGINE / f"{name}.py" for name in
                                                        ("grids", "denoisers", "guidance", "rng", "step"))]


@pytest.mark.parametrize("path", MATHEMATICS, ids=lambda path: str(path.relative_to(ENGINE)))
def test_the_mathematics_imports_nothing_above_it(path):
    allowed = ("engine.errors", "engine.schedules", "engine.step", "engine.rng", "engine.denoisers")
    ours = [m for m in imported(path) if m.startswith("engine.")]
    assert all(m.startswith(allowed) for m in ours), ours


@pytest.mark.parametrize("path", sorted((ENGINE / "tasks").glob("*/**/*.py")),
                         ids=lambda path: str(path.relative_to(ENGINE)))
def test_a_task_never_imports_another(path):
    own = path.relative_to(ENGINE / "tasks").parts[0]
    shared = {own, "inverse", "__pycache__"}  # inverse problems are what some tasks are made of
    others = {folder.name for folder in (ENGINE / "tasks").iterdir() if folder.is_dir()} - shared
    assert not [m for m in imported(path) if any(m.startswith(f"engine.tasks.{other}") for other in others)]
