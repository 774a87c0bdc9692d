"""NumPy twins of the compiled kernels: test oracle, and fallback where nothing was compiled."""
