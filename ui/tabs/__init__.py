"""One small file per tab."""
