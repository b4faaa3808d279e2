"""The rules about what becomes of deliveries."""
