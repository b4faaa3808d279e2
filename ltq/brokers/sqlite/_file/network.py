"""Whether a file lies on a network file system, whose locks are not to be relied on."""

import os
from pathlib import Path

_KINDS = frozenset(
    [
        "9p",
        "afs",
        "afpfs",
        "ceph",
        "cifs",
        "davfs",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
        "fuse.davfs2",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
    ]
)
"""Names of such file systems, as Linux has them."""

MOUNTS = Path("/proc/self/mountinfo")
"""Where Linux tells what is mounted; other systems do not."""


def network_of(path: Path) -> str | None:
    """The name of the network file system that a file is on; None if there is none, or unknown."""
    path = Path(os.path.realpath(path))  # a link may lead to another file system
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:
        return None
    found: tuple[int, str] = (-1, "")
    for line in lines:
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= found[0]:
            found = len(point.parts), after.split()[0]
    return found[1] if found[1] in _KINDS else None
