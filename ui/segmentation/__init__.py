"""The page's parts for masks: scans in, masks to look at and correct out, many pictures in a row."""
