"""The files of assets/web as text."""

from functools import cache
from pathlib import Path

WEB = Path(__file__).resolve().parent.parent / "assets" / "web"


@cache
def web(name: str) -> str:
    """The text of a file of assets/web."""
    return (WEB / name).read_text(encoding="utf-8")
