"""What weights do on samples, and the solvers that go by it."""
