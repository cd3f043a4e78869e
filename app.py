"""The door: builds the page and serves it."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from ui import page

demo = page.build()

if __name__ == "__main__":
    on_spaces = "SPACE_ID" in os.environ
    page.warm_up()
    demo.launch(server_name=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if on_spaces else "127.0.0.1"),
                server_port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")), **page.serving())
