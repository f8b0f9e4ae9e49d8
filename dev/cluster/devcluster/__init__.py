"""A real single-node Kubernetes cluster on one Debian machine, for development and tests."""
