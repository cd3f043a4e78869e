"""Options of events that several parts of the page share."""

UNSEEN = {"api_visibility": "private", "show_progress": "hidden", "show_progress_on": []}
"""How events run that show for themselves how far they are, and stay out of the list of endpoints. Without an empty
`show_progress_on` the page would look up every output in its whole tree at each message of any run, which is 0.6 s of
computing in a page of ten tabs."""
QUIET = UNSEEN | {"queue": False}
"""How events run that only fill components: at once, beside the runs."""
