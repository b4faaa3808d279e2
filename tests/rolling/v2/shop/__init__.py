"""The shop after the deployment."""
