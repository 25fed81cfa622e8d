"""Nets from elsewhere as models of a store, and models as ONNX for elsewhere."""
