"""Archives that mean harm, or are broken, one for each rule: archives.py DIRECTORY

Made, not found: what each is for stands beside it.  The names are the rules.
"""
import gzip
import io
import lzma
import os
import struct
import sys
import tarfile
import zipfile

os.chdir(sys.argv[1])


def entry(name, data=b"", **more):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mtime = 1000000000
    for k, v in more.items():
        setattr(info, k, v)
    return info, io.BytesIO(data)


def tar(file, *entries, mode="w", format=tarfile.GNU_FORMAT):
    with tarfile.open(file, mode, format=format) as t:
        for info, data in entries:
            data.seek(0)
            t.addfile(info, data)


def kind(name, type, target="", **more):
    return entry(name, type=type, linkname=target, **more)


GOOD = entry("good.txt", b"good\n")

# -- taken, with what is unsafe left out ----------------------------------------------------------

tar("dotdot.tar", entry("../escape", b"x"), entry("a/../../escape", b"x"), entry("a/b/..", b"x"), GOOD)
tar("absolute.tar", entry("/etc/passwd", b"absolute\n"), entry("//double//slash", b"2\n"), GOOD)
tar("devices.tar", kind("null", tarfile.CHRTYPE, devmajor=1, devminor=3), kind("fifo", tarfile.FIFOTYPE),
    kind("disk", tarfile.BLKTYPE, devmajor=8, devminor=0), GOOD)
# The classic: a link to somewhere else, then a file through it.
tar("through-link.tar", kind("out", tarfile.SYMTYPE, "/tmp"), entry("out/planted", b"planted\n"), GOOD)
tar("symlinks.tar", kind("up", tarfile.SYMTYPE, "../../../etc/passwd"), kind("loop", tarfile.SYMTYPE, "loop"),
    kind("self", tarfile.SYMTYPE, "."), GOOD)
tar("hardlinks.tar", GOOD, kind("same", tarfile.LNKTYPE, "good.txt"), kind("outside", tarfile.LNKTYPE, "/etc/passwd"),
    kind("up", tarfile.LNKTYPE, "../../etc/passwd"), kind("later", tarfile.LNKTYPE, "not-yet"), entry("not-yet", b"!"))
tar("duplicates.tar", entry("f", b"first"), entry("f", b"second!"), entry("d/x", b"x"), entry("d", b"no"), GOOD)
tar("no-directories.tar", entry("a/b/c/d/e", b"deep\n"), GOOD)
tar("deep.tar", entry("d/" * 1500 + "f", b"x"), GOOD, format=tarfile.PAX_FORMAT)
tar("long-name.tar", entry("n" * 300, b"x"), GOOD, format=tarfile.PAX_FORMAT)
tar("not-utf8.tar", entry("n\udcff\udcfe", b"bytes\n"), GOOD)
tar("control-characters.tar", entry("a\x1b[31m\nb", b"x"), GOOD)
tar("setuid.tar", entry("suid", b"#!/bin/sh\n", mode=0o6777), GOOD)
tar("empty.tar")
tar("nothing-in-it.tar.gz", mode="w:gz")
# One file of 1 GiB of zeros that nobody wrote: its bytes are holes.
with open("sparse.tar", "wb") as f:
    size = 64 << 20
    info = tarfile.TarInfo("GNUSparseFile.0/hole")
    head = b"1\n0\n512\n".ljust(512, b"\0") + b"A" * 512
    info.size = len(head)
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "hole",
                        "GNU.sparse.realsize": str(size)}
    f.write(info.tobuf(tarfile.PAX_FORMAT))
    f.write(head)
    f.write(b"\0" * 1024)

# -- refused --------------------------------------------------------------------------------------

tar("whole.tar", entry("a", os.urandom(3000)), entry("b", os.urandom(300000)), GOOD)
whole = open("whole.tar", "rb").read()
open("refused-cut-in-member.tar", "wb").write(whole[:200000])
open("refused-cut-in-header.tar", "wb").write(whole[:512 + 3072 + 100])
# The end of a member, but not of the archive.
open("refused-cut-between-members.tar", "wb").write(whole[:512 + 3072])
packed = gzip.compress(whole, 1)
open("refused-cut.tar.gz", "wb").write(packed[:len(packed) // 2])
open("refused-cut-early.tar.gz", "wb").write(packed[:100])
damaged = bytearray(lzma.compress(whole))
damaged[len(damaged) // 2] ^= 0x55
open("refused-damaged.tar.xz", "wb").write(bytes(damaged))
header = bytearray(whole)
header[512 + 3072 + 3] ^= 1  # the second header: its sum does not fit
open("refused-header-sum.tar", "wb").write(bytes(header))
# A size beyond any file.
info = tarfile.TarInfo("huge")
info.size = 1 << 60
open("refused-huge-member.tar", "wb").write(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 512)

# 12 MiB from 12 KiB; the workspace of the test allows 4.
with gzip.open("refused-bomb.tar.gz", "wb", 9) as f:
    info = tarfile.TarInfo("zeros")
    info.size = 12 << 20
    f.write(info.tobuf(tarfile.GNU_FORMAT))
    f.write(b"\0" * info.size)
    f.write(b"\0" * 1024)
with gzip.open("refused-bomb.csv.gz", "wb", 9) as f:
    f.write(b"\0" * (12 << 20))
with zipfile.ZipFile("refused-bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
    z.writestr("zeros", b"\0" * (12 << 20))

with zipfile.ZipFile("whole.zip", "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("a/b.txt", b"b\n" * 1000)
    z.writestr("../up.txt", b"up\n")
    z.writestr("good.txt", b"good\n")
z = open("whole.zip", "rb").read()
open("refused-cut.zip", "wb").write(z[:len(z) // 2])
# Encrypted, as the flag of the entry says; the bytes are not the point.
locked = bytearray(z)
at = 0
while (at := locked.find(b"PK\x03\x04", at)) >= 0:
    locked[at + 6] |= 1
    at += 4
at = 0
while (at := locked.find(b"PK\x01\x02", at)) >= 0:
    locked[at + 8] |= 1
    at += 4
open("refused-encrypted.zip", "wb").write(bytes(locked))
# What is announced and what is there differ: found when it is read.
lie = bytearray(z)
at = lie.find(b"PK\x01\x02")
lie[at + 24:at + 28] = struct.pack("<I", 1999)
lie[22:26] = struct.pack("<I", 1999)
open("lying-size.zip", "wb").write(bytes(lie))
