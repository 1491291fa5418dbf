#!/usr/bin/env python3
"""Reads a workspace of format 1, written from doc/format.md alone and sharing no code with sbxfsd.

usage: wfs.py decrypt WS OUT [--identity FILE | --passphrase-file FILE | --recovery-file FILE]
                             [--owner KEY] [--crashed]
       wfs.py check   WS     [the same]

'decrypt' copies all plaintext of a workspace that was closed cleanly into the new directory OUT:
files, directories, symlinks, hard links, modes, times, xattrs.  'check' only reads it.  Every
deviation from the format ends it with a message and exit code 1.

A workspace that was not closed is refused, or with --crashed read as recovery (section 7) would
leave it: the log is applied and lost blocks are found in memory, nothing is written.  As a
recipient: --owner is the owner's key that the user pinned.

Needs python3-nacl and python3-cryptography.
"""
import argparse
import base64
import hashlib
import json
import os
import stat
import struct
import sys

import nacl.bindings as na
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PAGE = 4096


class Bad(Exception):
    """The workspace is not what the format says."""


def need(cond, what):
    if not cond:
        raise Bad(what)


def le16(v):
    return struct.pack("<H", v)


def le32(v):
    return struct.pack("<I", v)


def le64(v):
    return struct.pack("<Q", v)


# Primitives --------------------------------------------------------------------------------------


def blake2b(n, data, key=b""):
    return hashlib.blake2b(data, digest_size=n, key=key).digest()


def kdf(root, ident, context):
    return hashlib.blake2b(b"", digest_size=32, key=root, salt=le64(ident) + bytes(8),
                           person=context + bytes(8)).digest()


def hchacha20(key, nonce16):
    """The core of XChaCha20, in the open: neither library offers it."""
    x = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce16))
    mask = 0xFFFFFFFF

    def quarter(a, b, c, d):
        for i, j, k, r in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[i] = (x[i] + x[j]) & mask
            v = x[k] ^ x[i]
            x[k] = (v << r | v >> (32 - r)) & mask

    for _ in range(10):
        quarter(0, 4, 8, 12)
        quarter(1, 5, 9, 13)
        quarter(2, 6, 10, 14)
        quarter(3, 7, 11, 15)
        quarter(0, 5, 10, 15)
        quarter(1, 6, 11, 12)
        quarter(2, 7, 8, 13)
        quarter(3, 4, 9, 14)
    return struct.pack("<8I", *(x[0:4] + x[12:16]))


def xchacha20_xor(key, nonce24, data):
    sub = hchacha20(key, nonce24[:16])
    return Cipher(algorithms.ChaCha20(sub, bytes(8) + nonce24[16:]), None).encryptor().update(data)


def aead_seal(key, nonce, text, aad):
    return na.crypto_aead_xchacha20poly1305_ietf_encrypt(text, aad, nonce, key)


def aead_open(key, nonce, sealed, aad, what):
    try:
        return na.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, aad, nonce, key)
    except Exception:
        raise Bad(f"{what} does not verify") from None


def b64e(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64d(text, what="base64url"):
    """Canonical spelling only."""
    need(text and all(c.isascii() and (c.isalnum() or c in "-_") for c in text), what)
    need(len(text) % 4 != 1, what)
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    need(b64e(data) == text, what)
    return data


B32 = "abcdefghijklmnopqrstuvwxyz234567"


def b32e(data):
    bits = "".join(f"{b:08b}" for b in data)
    bits += "0" * (-len(bits) % 5)
    return "".join(B32[int(bits[i:i + 5], 2)] for i in range(0, len(bits), 5))


def b32d(text, n):
    text = text.lower()
    need(len(text) == (n * 8 + 4) // 5 and all(c in B32 for c in text), "base32")
    bits = "".join(f"{B32.index(c):05b}" for c in text)
    need(set(bits[n * 8:]) <= {"0"}, "base32")
    return bytes(int(bits[i:i + 8], 2) for i in range(0, n * 8, 8))


# Keys (section 3) --------------------------------------------------------------------------------


def public_text(box, sign):
    both = box + sign
    return "sbx-pub-" + b32e(both + blake2b(32, b"sbx-pub-" + both)[:4])


def public_parse(text):
    need(text.startswith("sbx-pub-"), "public key")
    raw = b32d(text[8:], 68)
    need(public_text(raw[:32], raw[32:64]) == text.lower(), "checksum of a public key")
    return raw[:32], raw[32:64]


def recovery_text(key):
    text = b32e(key + blake2b(32, b"sbx-recovery" + key)[:3])
    return "-".join(text[i:i + 7] for i in range(0, 56, 7))


def recovery_parse(text):
    raw = b32d("".join(c for c in text if c not in "- \t\r\n"), 35)
    need(blake2b(32, b"sbx-recovery" + raw[:32])[:3] == raw[32:], "checksum of the recovery key")
    return raw[:32]


class Identity:
    def __init__(self, seed):
        self.seed = seed
        self.box_secret = kdf(seed, 1, b"SBXidbox")
        self.sign_seed = kdf(seed, 2, b"SBXidsig")
        self.owner = kdf(seed, 3, b"SBXidown")
        self.box = na.crypto_scalarmult_base(self.box_secret)
        self.sign, self.sign_secret = na.crypto_sign_seed_keypair(self.sign_seed)
        self.text = public_text(self.box, self.sign)

    @classmethod
    def load(cls, path):
        with open(path, encoding="ascii") as f:
            j = json.load(f)
        need(j["format"] == 1, "format of the identity")
        me = cls(bytes.fromhex(j["secret"]))
        need(j["public"] == me.text, "public key of the identity")
        return me


TYPES = {"owner": 1, "passphrase": 2, "recovery": 3, "recipient": 4}


def slot_aad(s, vol_id):
    return (b"WFSslot1" + vol_id + le32(TYPES[s["type"]]) + le32(s["keygen"]) +
            le32(s.get("ops", 0)) + bytes(4) + le64(s.get("mem", 0)) + bytes.fromhex(s["salt"]))


def slot_kek(s, vol_id, secret):
    salt = bytes.fromhex(s["salt"])
    if s["type"] == "passphrase":
        need(1 <= s["ops"] <= 16 and 8192 <= s["mem"] <= 4 << 30, "bounds of a slot")
        return na.crypto_pwhash_alg(64, secret, salt, s["ops"], s["mem"],
                                    na.crypto_pwhash_ALG_ARGON2ID13)
    return blake2b(64, b"WFSslot1" + vol_id + salt, secret)


def slot_unwrap(s, vol_id, secret):
    """V, or None when the secret is another one."""
    kek = slot_kek(s, vol_id, secret)
    if not na.sodium_memcmp(kek[32:], bytes.fromhex(s["commit"])):
        return None
    return aead_open(kek[:32], bytes.fromhex(s["nonce"]), bytes.fromhex(s["wrapped"]),
                     slot_aad(s, vol_id), "key slot")


def shared_text(s, vol_id):
    box, sign = public_parse(s["recipient"])
    return (b"WFSrcpt1" + vol_id + le32(s["keygen"]) + bytes(4) + box + sign +
            bytes.fromhex(s["box"]))


def slot_unseal(s, vol_id, identity, pinned):
    if public_parse(s["recipient"]) != (identity.box, identity.sign):
        return None
    need(pinned and public_parse(s["owner"]) == public_parse(pinned), "owner that is not pinned")
    owner = public_parse(s["owner"])[1]
    try:
        na.crypto_sign_open(bytes.fromhex(s["sig"]) + shared_text(s, vol_id), owner)
    except Exception:
        raise Bad("signature of a recipient slot") from None
    return na.crypto_box_seal_open(bytes.fromhex(s["box"]), identity.box, identity.box_secret)


class Config:
    """keys/config (section 3.3)."""

    def __init__(self, raw, v):
        need(raw[:8] == b"WFSCONF1" and struct.unpack_from("<I", raw, 8)[0] == 1, "config")
        self.keygen, = struct.unpack_from("<I", raw, 12)
        self.vol_id = raw[16:32]
        p = aead_open(kdf(v, 1, b"WFSconfg"), raw[32:56], raw[56:], raw[:32], "keys/config")
        self.names = p[:32]
        self.counter, count, body = struct.unpack_from("<QII", p, 32)
        need(1 <= count <= 32 and len(p) == 48 + 40 * count + body, "lengths in the config")
        self.v = {}
        for i in range(count):
            gen, zero = struct.unpack_from("<II", p, 48 + 40 * i)
            need(zero == 0 and gen not in self.v, "generations in the config")
            self.v[gen] = p[56 + 40 * i:88 + 40 * i]
        need(gen == self.keygen and self.v[gen] == v, "current generation")
        j = json.loads(p[48 + 40 * count:])
        self.settings, self.prev = j["settings"], j["prev"]
        self.slots, self.flat = j["slots"], j["flat"]
        need(self.settings["id"] == self.vol_id.hex(), "id in the settings")


class Keys:
    def __init__(self, names, v):
        self.head = {g: kdf(k, 2, b"WFSheadr") for g, k in v.items()}
        self.log = {g: kdf(k, 3, b"WFSlog__") for g, k in v.items()}
        for i, (attr, ctx) in enumerate((("nm", b"WFSnamem"), ("ne", b"WFSnamee"),
                                         ("dir", b"WFSdirid"), ("sl", b"WFSsymlk"),
                                         ("xm", b"WFSxnamm"), ("xe", b"WFSxname"),
                                         ("xv", b"WFSxvalu"))):
            setattr(self, attr, kdf(names, i + 1, ctx))


# Layout (section 2) ------------------------------------------------------------------------------


def blocks(size):
    return -(-size // PAGE)


def data_off(b):
    if b < 32:
        return PAGE * (1 + b)
    q, r = divmod(b - 32, 64)
    return PAGE * (33 + 65 * q + 1 + r)


def entry_off(b):
    if b < 32:
        return 2048 + 64 * b
    q, r = divmod(b - 32, 64)
    return PAGE * (33 + 65 * q) + 64 * r


def backing_size(size, pad=False):
    n = blocks(size)
    if n == 0:
        return PAGE
    return data_off(n - 1) + (PAGE if pad else size - PAGE * (n - 1))


class Header:
    def __init__(self, raw, keys, vol_id, what="header"):
        need(len(raw) == 256 and raw[:8] == b"WFSFILE1", what)
        need(raw[8] == 1 and raw[10:12] == bytes(2), what + ": needs a newer version")
        self.suite = raw[9]
        self.keygen, = struct.unpack_from("<I", raw, 12)
        self.file_id = raw[16:32]
        self.epoch, = struct.unpack_from("<I", raw, 32)
        need(self.keygen in keys.head, what + ": generation")
        p = aead_open(keys.head[self.keygen], raw[40:64], raw[64:], vol_id + raw[:40], what)
        self.key = p[:32]
        self.size, self.synced, self.mtime, self.flags = struct.unpack_from("<QQqI", p, 32)
        self.root = p[64:96]
        self.mapped, = struct.unpack_from("<Q", p, 96)
        need(self.flags <= 1 and self.mapped <= blocks(self.size), what + ": fields")
        self.block_key = kdf(self.key, self.suite, b"WFSblock")

    @staticmethod
    def seal(f, head_key, vol_id, nonce):
        clear = (b"WFSFILE1" + bytes([1, f["suite"], 0, 0]) + le32(f["keygen"]) + f["file_id"] +
                 le32(f["epoch"]) + bytes(4))
        p = (f["key"] + le64(f["size"]) + le64(f["synced"]) + struct.pack("<q", f["mtime"]) +
             le32(f["flags"]) + bytes(4) + bytes(32) + le64(f["mapped"]) + bytes(72))
        return clear + nonce + aead_seal(head_key, nonce, p, vol_id + clear)


# Blocks (section 4) ------------------------------------------------------------------------------


def block_seal(suite, key, file_id, b, epoch, nonce16, text):
    """(ciphertext, entry)"""
    head = le32(epoch) + le16(len(text)) + bytes(2)
    aad = file_id + le64(b) + head
    if suite == 1:
        c = aead_seal(key, nonce16 + le64(b), text, aad)
    elif suite == 2:
        c = AESGCM(hchacha20(key, nonce16)).encrypt(le64(b) + bytes(4), text, aad)
    else:
        raise Bad("suite not known here")
    return c[:-16], head + bytes(8) + nonce16 + c[-16:] + bytes(16)


def block_open(suite, key, file_id, b, entry, data):
    """'data' is the block's page; the plaintext up to the entry's len."""
    epoch, length, flags = struct.unpack_from("<IHH", entry)
    need(epoch and 1 <= length <= PAGE and not flags and entry[8:16] == bytes(8), "entry")
    need(entry[48:] == bytes(16), "entry: tag")
    need(len(data) >= length, "block is cut off")
    aad = file_id + le64(b) + entry[:8]
    sealed = data[:length] + entry[32:48]
    nonce16 = entry[16:32]
    if suite == 1:
        return aead_open(key, nonce16 + le64(b), sealed, aad, f"block {b}")
    need(suite == 2, "suite not known here")
    try:
        return AESGCM(hchacha20(key, nonce16)).decrypt(le64(b) + bytes(4), sealed, aad)
    except Exception:
        raise Bad(f"block {b} does not verify") from None


def read_file(raw, keys, vol_id, pad, what):
    """(header, plaintext) of a whole backing file."""
    h = Header(raw[:256], keys, vol_id, what)
    need(len(raw) == backing_size(h.size, pad), what + ": backing size")
    n, mapped, out = blocks(h.size), 0, bytearray()
    for b in range(n):
        entry = raw[entry_off(b):entry_off(b) + 64]
        length = min(PAGE, h.size - b * PAGE)
        if entry == bytes(64):
            need(h.flags & 1 or h.mapped < n, f"{what}: hole at block {b}")
            out += bytes(length)
            continue
        mapped += 1
        text = block_open(h.suite, h.block_key, h.file_id, b, entry,
                          raw[data_off(b):data_off(b) + PAGE])
        need(len(text) <= length, f"{what}: block {b} is longer than the file")
        out += text + bytes(length - len(text))
    need(mapped == h.mapped, f"{what}: {mapped} blocks are mapped, the header says {h.mapped}")
    last = -(-max(0, n - 32) // 64) * 64 + 32 if n > 32 else 32
    for b in range(n, last):
        if entry_off(b) + 64 <= len(raw):
            need(raw[entry_off(b):entry_off(b) + 64] == bytes(64), f"{what}: entry past the end")
    return h, bytes(out)


# The log (section 2.2) ---------------------------------------------------------------------------


def state_seal(st, keygen, key, vol_id, nonce):
    clear = b"WFSSTAT1" + le32(keygen) + bytes(4)
    p = (vol_id + le64(st["counter"]) + le64(st["conf_counter"]) + le32(st["epoch"]) +
         le32(st["clean"]) + le32(st["ring"]) + le32(st["tail"]) + le64(st["tail_seq"]) +
         le64(st["used_bytes"]) + le64(st["used_files"]))
    page = clear + nonce + aead_seal(key, nonce, p, vol_id + clear)
    return page + bytes(PAGE - len(page))


def state_open(page, keys, vol_id):
    """A dict, or None when the slot does not open."""
    if page[:8] != b"WFSSTAT1":
        return None
    keygen, = struct.unpack_from("<I", page, 8)
    if keygen not in keys.log:
        return None
    try:
        p = aead_open(keys.log[keygen], page[16:40], page[40:128], vol_id + page[:16], "state")
    except Bad:
        return None
    names = ("counter", "conf_counter", "epoch", "clean", "ring", "tail", "tail_seq",
             "used_bytes", "used_files")
    need(p[:16] == vol_id, "state of another volume")
    return dict(zip(names, struct.unpack_from("<QQIIIIQQQ", p, 16)))


def batch_open(page, seq, keys, vol_id):
    """(file_id, flags, cut, image, records); Bad when it is not the valid batch 'seq'."""
    need(page[:8] == b"WFSBATC1", "batch: magic")
    have, keygen, slen = struct.unpack_from("<QII", page, 8)
    need(have == seq and keygen in keys.log and 288 <= slen <= 288 + 80 * 46, "batch: clear part")
    p = aead_open(keys.log[keygen], page[24:48], page[48:64 + slen], vol_id + page[:24], "batch")
    flags, nrec, cut = struct.unpack_from("<IIQ", p, 16)
    need(flags <= 3 and slen == 288 + 80 * nrec, "batch: fields")
    records = []
    for i in range(nrec):
        block, count, kind = struct.unpack_from("<QII", p, 288 + 80 * i)
        need(kind in (1, 2) and 1 <= count and block + count <= 1 << 40, "record")
        need(kind == 2 or count == 1, "record: count")
        records.append((block, count, kind, p[304 + 80 * i:368 + 80 * i]))
    return p[:16], flags, cut, p[32:288], records


def batch_pages_verify(image, file_id, records, pages, keys, vol_id):
    """The data pages under the key in the batch's own header image."""
    h = Header(image, keys, vol_id, "image")
    need(h.file_id == file_id, "image of another file")
    for (block, _, _, entry), page in zip((r for r in records if r[2] == 1), pages):
        block_open(h.suite, h.block_key, file_id, block, entry, page)


def read_ring(page_at, state, keys, vol_id):
    """The valid batches in their order: [seq, file_id, flags, cut, image, records, pages]."""
    pos, seq, used, out = state["tail"], state["tail_seq"], 0, []
    while True:
        try:
            file_id, flags, cut, image, records = batch_open(page_at(pos), seq, keys, vol_id)
            n = 1 + sum(r[2] == 1 for r in records)
            need(used + n <= state["ring"], "ring is full")
            pages = [page_at((pos + 1 + i) % state["ring"]) for i in range(n - 1)]
            batch_pages_verify(image, file_id, records, pages, keys, vol_id)
        except Bad:
            return out
        out.append((seq, file_id, flags, cut, image, records, pages))
        pos, seq, used = (pos + n) % state["ring"], seq + 1, used + n


def batches_by_file(batches):
    """{file_id: [batches to apply]}: without those that the file's last DEAD covers."""
    out = {}
    for b in batches:
        mine = out.setdefault(b[1], [])
        if b[2] & 2:
            mine[:] = [x for x in mine if x[0] >= b[3]]
        else:
            mine.append(b)
    return out


# Recovery (section 7), in memory -------------------------------------------------------------------


class Home:
    """A backing file as pages that may be changed and grow."""

    def __init__(self, raw):
        self.raw = bytearray(raw)

    def get(self, at, n):
        part = bytes(self.raw[at:at + n])
        return part + bytes(n - len(part))

    def put(self, at, data):
        if len(self.raw) < at + len(data):
            self.raw += bytes(at + len(data) - len(self.raw))
        self.raw[at:at + len(data)] = data

    def zero_entries(self, first, end):
        b = first
        while b < end and entry_off(b) < len(self.raw):
            n = min(end, 32 if b < 32 else b + 64 - (b - 32) % 64) - b
            self.put(entry_off(b), bytes(64 * n))
            b += n

    def apply(self, batch):
        _, _, flags, cut, image, records, pages = batch
        pages = iter(pages)
        if flags & 1:
            self.zero_entries(cut, 1 << 40)
        for block, count, kind, entry in records:
            if kind == 2:
                self.zero_entries(block, block + count)
            else:
                self.put(data_off(block), next(pages))
                self.put(entry_off(block), entry)
        self.put(0, image)


def look_for_lost(home, h, epoch):
    """(blocks that are lost, end of the last good one)"""
    lost, good_end = set(), 0
    for b in range(blocks(h.size)):
        entry = home.get(entry_off(b), 64)
        if entry == bytes(64):
            if not h.flags & 1:
                lost.add(b)
            continue
        mark, length = struct.unpack_from("<IH", entry)
        if mark in (0, epoch, epoch + 1):
            try:
                block_open(h.suite, h.block_key, h.file_id, b, entry, home.get(data_off(b), PAGE))
            except Bad:
                lost.add(b)
                continue
        good_end = b * PAGE + length
    return lost, good_end


def mend(home, keys, vol_id, epoch, what):
    """(header or None: never synced, size, lost blocks)"""
    page = home.get(0, 256)
    try:
        h = Header(page, keys, vol_id, what)
    except Bad:
        if page == bytes(256) or struct.unpack_from("<I", page, 32)[0] in (0, epoch, epoch + 1):
            return None, 0, set()
        raise
    need(h.epoch <= epoch + 1, what + ": newer than the state")
    lost, size = set(), h.size
    if h.epoch >= epoch or h.flags & 1:
        lost, good_end = look_for_lost(home, h, epoch)
        if not h.flags & 1 and blocks(size) - 1 in lost:
            size = max(min(h.synced, size), good_end)
    return h, size, lost


def read_mended(home, keys, vol_id, epoch, what):
    """(header or None, plaintext)"""
    h, size, lost = mend(home, keys, vol_id, epoch, what)
    out = bytearray()
    for b in range(blocks(size)):
        length, entry = min(PAGE, size - b * PAGE), home.get(entry_off(b), 64)
        text = b""
        if b not in lost and entry != bytes(64):
            text = block_open(h.suite, h.block_key, h.file_id, b, entry,
                              home.get(data_off(b), PAGE))[:length]
        out += text + bytes(length - len(text))
    return h, bytes(out)


def batch_seal(b, keygen, key, vol_id, nonce):
    sealed = (b["file_id"] + le32(b["flags"]) + le32(len(b["records"])) + le64(b["cut"]) +
              b["image"])
    for block, count, kind, entry in b["records"]:
        sealed += le64(block) + le32(count) + le32(kind) + entry
    clear = b"WFSBATC1" + le64(b["seq"]) + le32(keygen) + le32(len(sealed))
    page = clear + nonce + aead_seal(key, nonce, sealed, vol_id + clear)
    return page + bytes(PAGE - len(page))


# Names (section 5) -------------------------------------------------------------------------------


def siv_seal(mac, stream, ident, name):
    siv = blake2b(16, ident + name, mac)
    return siv + xchacha20_xor(stream, siv + bytes(8), name + bytes(-len(name) % 16))


def siv_open(mac, stream, ident, text, limit, what):
    raw = b64d(text, what)
    need(len(raw) >= 32 and len(raw) % 16 == 0, what)
    padded = xchacha20_xor(stream, raw[:16] + bytes(8), raw[16:])
    name = padded.rstrip(b"\0")
    need(name and len(name) <= limit and b"\0" not in name, what)
    need(len(padded) == len(name) + -len(name) % 16, what)
    need(blake2b(16, ident + name, mac) == raw[:16], what)
    return name


def name_encrypt(k, dirid, name):
    """(stored, full)"""
    sealed = siv_seal(k.nm, k.ne, dirid, name)
    full = b64e(sealed)
    return (full if len(name) <= 160 else "~" + b64e(blake2b(32, sealed))), full


def name_decrypt(k, dirid, stored, sidecar):
    """'sidecar' reads the target of the symlink of a given name."""
    full = stored
    if stored.startswith("~"):
        full = sidecar(stored + ".n")
        need("~" + b64e(blake2b(32, b64d(full))) == stored and len(full) > 235, "long name")
    name = siv_open(k.nm, k.ne, dirid, full, 255, f"name {stored}")
    need(b"/" not in name and name not in (b".", b".."), f"name {stored}")
    return name


def dirid_seal(k, dirid):
    return dirid + blake2b(16, dirid, k.dir)


def dirid_open(k, raw, what):
    need(len(raw) == 32 and dirid_seal(k, raw[:16]) == raw, what + ": directory id")
    return raw[:16]


def symlink_seal(k, vol_id, target, nonce):
    """(stored, None) or (stored, (tail name, tail))"""
    c = nonce + aead_seal(k.sl, nonce, target, vol_id)
    if len(target) <= 3031:
        return b64e(c), None
    h = blake2b(32, c)
    return "~" + b64e(le16(len(target)) + h + c[:3000]), (b64e(h), b64e(c[3000:]))


def symlink_open(k, vol_id, stored, read_tail, what):
    length = None
    if stored.startswith("~"):
        raw = b64d(stored[1:], what)
        need(len(raw) == 3034, what)
        length, h = struct.unpack_from("<H", raw)[0], raw[2:34]
        c = raw[34:] + b64d(read_tail(b64e(h)), what)
        need(blake2b(32, c) == h and length > 3031, what)
    else:
        c = b64d(stored, what)
    target = aead_open(k.sl, c[:24], c[24:], vol_id, what)
    need(target and b"\0" not in target and length in (None, len(target)), what)
    return target


def xattr_name_encrypt(k, owner, name):
    return "user.x." + b64e(siv_seal(k.xm, k.xe, owner, name))


def xattr_value_seal(k, is_dir, owner, name, value, nonce):
    return nonce + aead_seal(k.xv, nonce, value, bytes([2 if is_dir else 1]) + owner + name)


def xattr_value_open(k, is_dir, owner, name, raw, what):
    need(len(raw) >= 40, what)
    return aead_open(k.xv, raw[:24], raw[24:], bytes([2 if is_dir else 1]) + owner + name, what)


# A whole workspace -------------------------------------------------------------------------------


class Workspace:
    def __init__(self, path, identity=None, passphrase=None, recovery=None, owner=None,
                 crashed=False):
        self.path, self.owner, self.crashed = path, owner, crashed
        self.secrets = {"owner": identity.owner if identity else None,
                        "passphrase": passphrase, "recovery": recovery}
        self.identity = identity
        with open(os.path.join(path, "keys", "config"), "rb") as f:
            raw = f.read()
        need(raw[:8] == b"WFSCONF1", "keys/config")
        self.vol_id = raw[16:32]
        slot, v = self.unlock(struct.unpack_from("<I", raw, 12)[0])
        self.config = Config(raw, v)
        need(slot in self.config.slots, f"slot {slot} is not in the config")
        self.keys = Keys(self.config.names, self.config.v)
        self.pad = self.config.settings["pad"]
        with open(os.path.join(path, "workspace.json"), encoding="utf-8") as f:
            need(json.load(f) == self.config.settings, "workspace.json was edited")
        self.state = self.read_state()
        self.batches = {}
        if not self.state["clean"]:
            self.batches = batches_by_file(read_ring(self.ring_page, self.state, self.keys,
                                                     self.vol_id))
        self.links = {}

    def ring_page(self, pos):
        with open(os.path.join(self.path, "store", "log"), "rb") as f:
            f.seek(PAGE * (2 + pos))
            return f.read(PAGE)

    def unlock(self, keygen):
        folder = os.path.join(self.path, "keys")
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".json"):
                continue
            with open(os.path.join(folder, name), encoding="ascii") as f:
                s = json.load(f)
            if s["format"] != 1 or s["type"] not in TYPES or s["keygen"] != keygen:
                continue
            v = None
            if s["type"] == "recipient":
                v = slot_unseal(s, self.vol_id, self.identity, self.owner) if self.identity else None
            elif self.secrets[s["type"]] is not None:
                v = slot_unwrap(s, self.vol_id, self.secrets[s["type"]])
            if v:
                return name[:-5], v
        raise Bad("no key opens this workspace")

    def read_state(self):
        with open(os.path.join(self.path, "store", "log"), "rb") as f:
            pages = f.read(2 * PAGE)
            total = f.seek(0, 2)
        found = [state_open(pages[i:i + PAGE], self.keys, self.vol_id) for i in (0, PAGE)]
        found = sorted((s for s in found if s), key=lambda s: s["counter"])
        need(found, "no state slot opens")
        st = found[-1]
        need(st["clean"] == 1 or self.crashed, "the workspace was not closed cleanly")
        need(self.crashed or len(found) == 2 and found[0]["clean"] == 1,
             "an older state lies in the other slot")
        need(st["epoch"] and st["tail_seq"] and st["clean"] <= 1 and
             128 <= st["ring"] <= 1 << 24, "state")
        need(total >= PAGE * (2 + st["ring"]) and st["tail"] < st["ring"], "ring")
        need(st["conf_counter"] <= self.config.counter, "an older config was put back")
        return st

    def xattr(self, path, name):
        try:
            return os.getxattr(path, name, follow_symlinks=False)
        except OSError:
            return None

    def user_xattrs(self, path, is_dir, owner):
        out = {}
        for stored in os.listxattr(path, follow_symlinks=False):
            if not stored.startswith("user.x."):
                continue
            name = siv_open(self.keys.xm, self.keys.xe, owner, stored[7:], 160, "xattr name")
            out[name] = xattr_value_open(self.keys, is_dir, owner, name,
                                         self.xattr(path, stored), "xattr value")
        return out

    def mode(self, path, st):
        raw = self.xattr(path, "user.wfs.m")
        if st.st_mode & stat.S_ISVTX and raw is not None:
            need(len(raw) == 2, "kept mode")
            return struct.unpack("<H", raw)[0] & 0o7777
        return st.st_mode & 0o777

    def walk(self):
        """(kind, plaintext path, details) of everything, directories before what is in them."""
        yield from self.walk_dir(os.path.join(self.path, "store", "t"), b"", bytes(16))

    def walk_dir(self, folder, plain, dirid):
        for stored in sorted(os.listdir(folder)):
            path = os.path.join(folder, stored)
            if stored.startswith("~") and stored.endswith(".n"):
                continue
            name = name_decrypt(self.keys, dirid, stored,
                                lambda n: os.readlink(os.path.join(folder, n)))
            where = os.path.join(plain, name)
            st = os.lstat(path)
            if stat.S_ISDIR(st.st_mode):
                ident = bytes(16)
                if not self.config.flat:
                    ident = self.dirid(path)
                yield "dir", where, {"mode": self.mode(path, st), "mtime": st.st_mtime_ns,
                                     "xattrs": self.user_xattrs(path, True, ident)}
                yield from self.walk_dir(path, where, ident)
            elif stat.S_ISREG(st.st_mode):
                yield self.read_regular(path, where, st)
            elif stat.S_ISLNK(st.st_mode):
                target = symlink_open(
                    self.keys, self.vol_id, os.readlink(path),
                    lambda n: os.readlink(os.path.join(self.path, "store", "l", n)), path)
                yield "symlink", where, {"target": target}
            else:
                yield "special", where, {"mode": st.st_mode}

    def dirid(self, path):
        raw = self.xattr(path, "user.wfs.d")
        if raw is None and not self.state["clean"] and not os.listdir(path):
            return bytes(16)  # mkdir was cut short: it will get one
        return dirid_open(self.keys, raw or b"", path)

    def read_crashed(self, path, where, st):
        with open(path, "rb") as f:
            home = Home(f.read())
        mine = self.batches.get(home.get(16, 16), [])
        for b in mine:
            home.apply(b)
        h, text = read_mended(home, self.keys, self.vol_id, self.state["epoch"], path)
        mtime = max(st.st_mtime_ns, h.mtime) if h and mine else st.st_mtime_ns
        return "file", where, {"mode": self.mode(path, st), "mtime": mtime, "data": text,
                               "header": h,
                               "xattrs": self.user_xattrs(path, False, h.file_id) if h else {}}

    def read_regular(self, path, where, st):
        seen = self.links.get((st.st_dev, st.st_ino))
        if seen is not None:
            return "link", where, {"to": seen}
        if not self.state["clean"]:
            self.links[st.st_dev, st.st_ino] = where
            return self.read_crashed(path, where, st)
        with open(path, "rb") as f:
            h, text = read_file(f.read(), self.keys, self.vol_id, self.pad, path)
        need(h.epoch <= self.state["epoch"], path + ": epoch of the future")
        self.links[st.st_dev, st.st_ino] = where
        return "file", where, {"mode": self.mode(path, st), "mtime": st.st_mtime_ns, "data": text,
                               "header": h, "xattrs": self.user_xattrs(path, False, h.file_id)}


def put(out, kind, where, d):
    path = os.path.join(out, where)
    if kind == "dir":
        os.mkdir(path, 0o700)
    elif kind == "symlink":
        os.symlink(d["target"], path)
    elif kind == "link":
        os.link(os.path.join(out, d["to"]), path)
    elif kind == "special":
        os.mknod(path, d["mode"])
    else:
        with open(path, "xb") as f:
            f.write(d["data"])
    for name, value in d.get("xattrs", {}).items():
        os.setxattr(path, b"user." + name, value, follow_symlinks=False)


def decrypt(ws, out):
    out = os.fsencode(out)
    os.mkdir(out, 0o700)
    later = []
    for kind, where, d in ws.walk():
        put(out, kind, where, d)
        if kind in ("dir", "file"):
            later.append((where, d))
    for where, d in reversed(later):
        path = os.path.join(out, where)
        os.chmod(path, d["mode"])
        os.utime(path, ns=(d["mtime"], d["mtime"]))


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("verb", choices=("decrypt", "check"))
    ap.add_argument("ws")
    ap.add_argument("out", nargs="?")
    ap.add_argument("--identity")
    ap.add_argument("--passphrase-file")
    ap.add_argument("--recovery-file")
    ap.add_argument("--owner")
    ap.add_argument("--crashed", action="store_true")
    a = ap.parse_args()
    identity = Identity.load(a.identity) if a.identity else None
    passphrase = recovery = None
    if a.passphrase_file:
        with open(a.passphrase_file, "rb") as f:
            passphrase = f.read().split(b"\n")[0]
    if a.recovery_file:
        with open(a.recovery_file, encoding="ascii") as f:
            recovery = recovery_parse(f.read())
    try:
        ws = Workspace(a.ws, identity, passphrase, recovery, a.owner, a.crashed)
        if a.verb == "decrypt":
            need(a.out, "decrypt needs a directory to write to")
            decrypt(ws, a.out)
        else:
            kinds = [kind for kind, _, _ in ws.walk()]
            print(json.dumps({k: kinds.count(k) for k in sorted(set(kinds))}))
    except Bad as e:
        print(f"wfs.py: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
