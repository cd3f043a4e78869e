"""Serves the page for the browser tests in a process of its own: `serve.py TRACE_FILE`, or `serve.py` for real tasks.

Prints its address once it answers. Two runs compute at once. The fake inpainting is fast, the fake restoration takes
0.2 s per network call.
"""

import os
import sys
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["DIFFUSCOPE_WORKERS"] = "2"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.ui.fake_task import FakeTask
from ui import page


def main() -> None:
    """Build, launch, print the port, wait for the end of the input."""
    fakes = None
    if len(sys.argv) > 1:
        trace = Path(sys.argv[1])
        fakes = [FakeTask(name="inpainting", title="Inpainting", paints=True, delay_s=0.02, trace=trace),
                 FakeTask(delay_s=0.2, trace=trace)]
    demo = page.build(fakes)
    _, url, _ = demo.launch(server_name="127.0.0.1", server_port=_free_port(), prevent_thread_lock=True, quiet=True,
                            **page.serving())
    print(url, flush=True)
    sys.stdin.read()
    demo.close()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
