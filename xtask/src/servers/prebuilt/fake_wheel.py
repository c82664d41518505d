"""Writes a wheel with one program and prints its SHA-256: fake_wheel.py FOLDER TEXT."""

import hashlib
import pathlib
import sys
import zipfile

wheel = pathlib.Path(sys.argv[1], "fake-1.2-py3-none-any.whl")
info = "fake-1.2.dist-info/"
with zipfile.ZipFile(wheel, "w") as archive:
    program = zipfile.ZipInfo("fake/server")
    program.external_attr = 0o100700 << 16  # a program that other accounts cannot run
    archive.writestr(program, sys.argv[2])
    archive.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: fake\nVersion: 1.2\n")
    archive.writestr(
        info + "WHEEL",
        "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: py3-none-any\n",
    )
    archive.writestr(info + "RECORD", "")
print(hashlib.sha256(wheel.read_bytes()).hexdigest())
