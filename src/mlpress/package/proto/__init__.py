"""Generated protobuf classes of the Core ML model file; see the `.proto` files beside this one."""
