"""The door and the rules under which the page is served."""

import os
import subprocess
import sys

import gradio as gr


def test_the_page_of_all_real_tasks_can_be_built():
    import app
    from engine import tasks
    from ui import page

    assert isinstance(app.demo, gr.Blocks)
    labels = [block.label for block in app.demo.blocks.values() if isinstance(block, gr.Tab)]
    views = ["Compare", "Error curves", "Playground", "Steer", "Inverse problems", "Forward models",
             "Theory", "Spectrum", "Solvers"]
    expected = []
    for name in tasks.names():
        modes = [other for other in tasks.names() if page.MODE_OF.get(other) == name]
        if page.MODE_OF.get(name) not in tasks.names():
            expected += [tasks.load(mode).title for mode in ([name, name, *modes] if modes else [name])]
    assert labels == [*expected, "Laboratory", *views, "Models"]
    assert labels[:2] == ["Inpainting", "Restoration"]


def test_it_is_served_with_limits_and_without_doors_to_the_outside():
    from engine.runtime.settings import limits
    from ui import page

    arguments = page.serving()
    assert arguments["show_error"] is False and arguments["strict_cors"] is True and arguments["share"] is False
    assert arguments["max_file_size"] == limits().scan_bytes and arguments["allowed_paths"] == []


def test_all_computing_events_share_one_queue_and_helpers_are_private():
    import app
    from engine import tasks

    computing = [fn for fn in app.demo.fns.values() if fn.concurrency_id == "compute"]
    # A Run button and an endpoint for each task, and one for many scans at once; a Run button for eight views of the
    # laboratory, five of which fill themselves when they are opened, and an endpoint.
    assert len(computing) == 2 * len(tasks.names()) + ("segmentation" in tasks.names()) + 8 + 5 + 1
    public = {fn.api_name for fn in app.demo.fns.values() if fn.api_visibility == "public"}
    assert public == {"compare", *tasks.names()}


def test_a_run_that_starts_by_itself_can_be_stopped_and_gives_way():
    import app

    def events(part, kind):
        return [fn for fn in app.demo.fns.values() for block, name in fn.targets
                if name == kind and getattr(app.demo.blocks.get(block), "elem_id", None) == part]

    for view, canvas in (("compare", "compare-sheet"), ("play", "play-plane")):
        first, = events(canvas, "expand")
        run, *_ = events(f"{view}-run", "click")
        given_up, stopped = ({i for fn in events(f"{view}-{button}", "click") for i in fn.cancels}
                             for button in ("run", "stop"))
        assert given_up == {first._id} and stopped == {first._id, run._id}


def test_analytics_are_off_before_gradio_is_imported():
    code = "import app, os; print(os.environ['GRADIO_ANALYTICS_ENABLED'], app.demo.analytics_enabled)"
    environment = {name: value for name, value in os.environ.items() if name != "GRADIO_ANALYTICS_ENABLED"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert done.stdout.split() == ["False", "False"], done.stderr[-500:]
