"""Export-safe layers: each converts to ONNX without a loop it does not need."""
