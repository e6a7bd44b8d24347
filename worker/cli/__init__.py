"""Commands that need a worker's packages; ``producer.cli`` finds them by entry point."""
