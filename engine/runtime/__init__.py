"""Where runs live: limits, device and precision, batches shared between runs, execution."""
