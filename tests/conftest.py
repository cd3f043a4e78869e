"""Runs before every test module: nothing may leave the machine, and gradio reads this when it is imported."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
