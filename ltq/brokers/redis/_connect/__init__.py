"""Opening connections: where to, with which password, TLS files and addresses."""
