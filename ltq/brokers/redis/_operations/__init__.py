"""What the Redis broker does for each role of the seam: functions of a link."""
