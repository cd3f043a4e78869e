"""Serves a page with sketches to clouds without weights for its browser tests. Prints its address once it answers."""

import os
import sys
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.ui.pointcloud.fake_cloud_task import FakeCloudTask
from ui import page


def main() -> None:
    """Build, launch on any free port, wait for the end of the input."""
    demo = page.build([FakeCloudTask(delay_s=0.02)])
    _, url, _ = demo.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **page.serving())
    print(url, flush=True)
    sys.stdin.read()
    demo.close()


if __name__ == "__main__":
    main()
