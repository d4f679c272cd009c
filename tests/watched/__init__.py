"""A project whose workers are watched by OpenTelemetry and Sentry: both write what they would send to files."""
