"""What everything else is built on: value types, errors, configs, registries, seeds and safe file writes."""
