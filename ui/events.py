"""Options of events that several parts of the page share."""

QUIET = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
"""How events run that only fill components: at once, beside the runs, and out of the list of endpoints."""
