"""Time, memory and error beside coremltools, in one run on one machine."""
