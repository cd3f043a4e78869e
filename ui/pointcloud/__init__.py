"""The parts of the point cloud tab: what people draw, write or bring, and the clouds that come of it."""
