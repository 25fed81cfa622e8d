"""The HTTP server: the app, its routes, middleware, limits and telemetry."""
