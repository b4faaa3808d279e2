"""What the Redis broker does for each role of the seam, as functions of a link."""
