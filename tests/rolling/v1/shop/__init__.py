"""The shop before the deployment."""
