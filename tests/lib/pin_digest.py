#!/usr/bin/python3
"""The digest of a pinned dataset from doc/format.md section 13 alone: shares nothing with the C code.

usage: pin_digest.py DIR | pin_digest.py --file FILE | pin_digest.py --archive DIR
--file: FILE as a dataset that is a single file; --archive: DIR holds what is in an archive, extracted.
"""
import os
import stat
import struct
import sys
from hashlib import blake2b

LEAF, FANOUT = 131072, 256
KINDS = {stat.S_IFDIR: b'd', stat.S_IFREG: b'f', stat.S_IFLNK: b'l', stat.S_IFIFO: b'p',
         stat.S_IFSOCK: b's', stat.S_IFCHR: b'c', stat.S_IFBLK: b'b'}


def h(use, data):
    return blake2b(data, digest_size=32, person=b'sbxpin1.' + use).digest()


def file_digest(path, size):
    with open(path, 'rb') as f:
        level = [h(b'leaf', f.read(LEAF)) for _ in range(max(1, -(-size // LEAF)))]
    while len(level) > 1:
        level = [h(b'node', b''.join(level[i:i + FANOUT])) for i in range(0, len(level), FANOUT)]
    return h(b'file', struct.pack('<Q', size) + level[0])


def entry(name, kind, mode, size, digest):
    return kind + struct.pack('<HQ', mode, size) + digest + struct.pack('<H', len(name)) + name


def dir_digest(entries):
    """entries: name -> the entry's bytes; names are sorted as bytes."""
    return h(b'dir', struct.pack('<Q', len(entries)) + b''.join(entries[n] for n in sorted(entries)))


def path_entry(path, name, archive):
    st = os.lstat(path)
    kind, mode = KINDS[stat.S_IFMT(st.st_mode)], st.st_mode & 0o777
    if archive:
        mode = 0o555 if kind == b'd' or mode & 0o111 else 0o444
    if kind == b'd':
        inside = {n: path_entry(os.path.join(path, n), n, archive) for n in os.listdir(path)}
        return entry(name, kind, mode, 0, dir_digest(inside))
    if kind == b'f':
        return entry(name, kind, mode, st.st_size, file_digest(path, st.st_size))
    if kind == b'l':
        target = os.readlink(path)
        return entry(name, kind, 0, len(target), h(b'link', target))
    return entry(name, kind, mode, 0, bytes(32))


def main(args):
    path = os.fsencode(args[-1])
    if args[0] == '--file':
        name = os.path.basename(path)
        top = entry(b'', b'd', 0o555, 0, dir_digest({name: path_entry(path, name, False)}))
    else:
        top = path_entry(path, b'', args[0] == '--archive')
    print(h(b'top', top).hex())


if __name__ == '__main__':
    main(sys.argv[1:])
