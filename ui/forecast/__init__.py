"""The page's parts for weather maps: fields in, ensembles to look into out."""
