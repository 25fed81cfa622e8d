"""The data that nets are trained on: photos, squares cut from them, degradations, and batches."""
