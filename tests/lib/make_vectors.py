#!/usr/bin/env python3
"""Writes the test vectors of doc/format.md section 11 from the independent implementation wfs.py.

usage: make_vectors.py DIRECTORY

Everything random is derived from labels, so that a second run writes the same bytes.
"""
import json
import os
import sys

import nacl.bindings as na

import wfs
from wfs import le64


def rnd(label, n=32):
    """n bytes that look random, from a label."""
    out = b""
    while len(out) < n:
        out += wfs.blake2b(32, label.encode() + le64(len(out)))
    return out[:n]


def pattern(n):
    """Plaintext of the block vectors: byte i is i * 7 + i / 256."""
    return bytes((i * 7 + i // 256) & 255 for i in range(n))


VOL_ID = rnd("vol_id", 16)
V = rnd("V")
N = rnd("N")
F = rnd("F")
FILE_ID = rnd("file_id", 16)
DIRID = rnd("dirid", 16)
KEYS = wfs.Keys(N, {1: V})
ME = wfs.Identity(rnd("identity"))
FRIEND = wfs.Identity(rnd("friend"))


def kdf_vectors():
    rows = [("conf", V, 1, b"WFSconfg"), ("head", V, 2, b"WFSheadr"), ("log", V, 3, b"WFSlog__")]
    rows += [(n, N, i + 1, c) for i, (n, c) in enumerate((
        ("name_mac", b"WFSnamem"), ("name_stream", b"WFSnamee"), ("dirid", b"WFSdirid"),
        ("symlink", b"WFSsymlk"), ("xname_mac", b"WFSxnamm"), ("xname_stream", b"WFSxname"),
        ("xvalue", b"WFSxvalu")))]
    rows += [("id_box", ME.seed, 1, b"SBXidbox"), ("id_sign", ME.seed, 2, b"SBXidsig"),
             ("id_owner", ME.seed, 3, b"SBXidown")]
    out = [{"key": k, "root": r.hex(), "id": i, "context": c.decode(),
            "out": wfs.kdf(r, i, c).hex()} for k, r, i, c in rows]
    blocks = [{"suite": s, "file_key": F.hex(), "out": wfs.kdf(F, s, b"WFSblock").hex()}
              for s in (1, 2, 3)]
    return {"keys": out, "blocks": blocks,
            "hchacha20": {"key": F.hex(), "in": rnd("hc", 16).hex(),
                          "out": wfs.hchacha20(F, rnd("hc", 16)).hex()}}


def sealed_box(text, pub, label):
    """crypto_box_seal with an ephemeral key that is not random."""
    secret = rnd(label)
    epk = na.crypto_scalarmult_base(secret)
    return epk + na.crypto_box(text, wfs.blake2b(24, epk + pub), pub, secret)


def slot(kind, secret, ops=0, mem=0):
    s = {"format": 1, "type": kind, "keygen": 1, "created": "2026-01-02T03:04:05Z",
         "salt": rnd(kind + "salt", 16).hex(), "nonce": rnd(kind + "nonce", 24).hex()}
    if ops:
        s.update(ops=ops, mem=mem)
    kek = wfs.slot_kek(s, VOL_ID, secret)
    s["commit"] = kek[32:].hex()
    s["wrapped"] = wfs.aead_seal(kek[:32], bytes.fromhex(s["nonce"]), V,
                                 wfs.slot_aad(s, VOL_ID)).hex()
    return {"secret": secret.hex(), "slot": s}


def recipient_slot():
    s = {"format": 1, "type": "recipient", "keygen": 1, "created": "2026-01-02T03:04:05Z",
         "recipient": FRIEND.text, "owner": ME.text,
         "box": sealed_box(V, FRIEND.box, "ephemeral").hex()}
    s["sig"] = na.crypto_sign(wfs.shared_text(s, VOL_ID), ME.sign_secret)[:64].hex()
    return {"slot": s}


def slot_vectors():
    recovery = rnd("recovery")
    identity = (f'{{"format": 1, "created": "2026-01-02T03:04:05Z", "public": "{FRIEND.text}",'
                f' "secret": "{FRIEND.seed.hex()}"}}')
    body = {"settings": {"id": VOL_ID.hex()}, "prev": None, "slots": {}, "flat": False}
    text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    clear = b"WFSCONF1" + wfs.le32(1) + wfs.le32(2) + VOL_ID
    old = rnd("old V")
    plain = (N + le64(7) + wfs.le32(2) + wfs.le32(len(text)) + wfs.le32(1) + bytes(4) + old +
             wfs.le32(2) + bytes(4) + V + text)
    nonce = rnd("config nonce", 24)
    config = clear + nonce + wfs.aead_seal(wfs.kdf(V, 1, b"WFSconfg"), nonce, plain, clear)
    assert wfs.Config(config, V).counter == 7
    return {"vol_id": VOL_ID.hex(), "V": V.hex(),
            "owner": slot("owner", ME.owner),
            "passphrase": slot("passphrase", b"correct horse", 1, 65536),
            "recovery": slot("recovery", recovery),
            "recovery_text": wfs.recovery_text(recovery),
            "recipient": recipient_slot(),
            "identity_seed": FRIEND.seed.hex(), "identity_file": identity,
            "public": FRIEND.text,
            "config": {"file": config.hex(), "keygen": 2, "counter": 7, "old": old.hex(),
                       "N": N.hex(), "body": text.decode()}}


def header_vectors():
    base = dict(suite=1, keygen=1, file_id=FILE_ID, epoch=5, key=F, size=0, synced=0,
                mtime=1790000000123456789, flags=0, mapped=0)
    rows = [("empty", {}), ("5000 bytes", dict(size=5000, synced=4096, mapped=2)),
            ("sparse", dict(size=1 << 40, synced=0, flags=1, mapped=3)),
            ("before 1970", dict(size=1, mapped=1, mtime=-1)),
            ("aes-gcm", dict(suite=2, size=4096, mapped=1))]
    out = []
    for what, change in rows:
        f = dict(base, **change)
        raw = wfs.Header.seal(f, KEYS.head[1], VOL_ID, rnd("head " + what, 24))
        wfs.Header(raw, KEYS, VOL_ID)
        row = {k: v for k, v in f.items() if k not in ("file_id", "key")}
        out.append(dict(row, what=what, header=raw.hex()))
    return {"vol_id": VOL_ID.hex(), "head_key": KEYS.head[1].hex(), "file_key": F.hex(),
            "file_id": FILE_ID.hex(), "headers": out}


def block_vectors():
    out = []
    for suite in (1, 2):
        key = wfs.kdf(F, suite, b"WFSblock")
        for b in (0, 31, 32, 95, 96):
            for n in (1, 100, 4096):
                nonce = rnd(f"block {suite} {b} {n}", 16)
                data, entry = wfs.block_seal(suite, key, FILE_ID, b, 9, nonce, pattern(n))
                assert wfs.block_open(suite, key, FILE_ID, b, entry, data) == pattern(n)
                out.append({"suite": suite, "block": b, "len": n, "epoch": 9,
                            "nonce": nonce.hex(), "entry": entry.hex(),
                            "data": wfs.blake2b(32, data).hex()})
    sizes = [0, 1, 4095, 4096, 4097, 131071, 131072, 131073, 393215, 393216, 393217, 1 << 30,
             1 << 40]
    return {"file_key": F.hex(), "file_id": FILE_ID.hex(), "blocks": out,
            "offsets": [{"block": b, "data": wfs.data_off(b), "entry": wfs.entry_off(b)}
                        for b in (0, 1, 31, 32, 33, 95, 96, 159, 160, 1 << 30, (1 << 40) - 1)],
            "sizes": [{"size": s, "backing": wfs.backing_size(s),
                       "padded": wfs.backing_size(s, True)} for s in sizes],
            "not_sizes": [0, 1, 4095, wfs.data_off(32) - 4095, wfs.data_off(32) - 1,
                          wfs.data_off(32), wfs.data_off(96)]}


def name_vectors():
    names = [(bytes(97 + i % 26 for i in range(n))) for n in (1, 15, 16, 17, 160, 161, 255)]
    names += ["Ergebnisse für März.csv".encode(), b"\xff\xfe not UTF-8", b".hidden", b"..."]
    out = []
    for dirid in (bytes(16), DIRID):
        for n in names:
            stored, full = wfs.name_encrypt(KEYS, dirid, n)
            out.append({"dirid": dirid.hex(), "name": n.hex(), "stored": stored, "full": full})
    good = wfs.name_encrypt(KEYS, bytes(16), b"results.csv")[1]
    raw = wfs.b64d(good)

    def forged(text, padded_to=None):
        """A name sealed as it is, with more padding than it should have."""
        siv = wfs.blake2b(16, bytes(16) + text, KEYS.nm)
        text += bytes((padded_to or len(text) + -len(text) % 16) - len(text))
        return wfs.b64e(siv + wfs.xchacha20_xor(KEYS.ne, siv + bytes(8), text))

    spare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    bad = {
        "unused bits": good[:-1] + spare[spare.index(good[-1]) + 1],
        "padding character": good + "=",
        "standard alphabet": good.replace("-", "+").replace("_", "/") + "+",
        "cut": good[:-1], "empty": "", "siv only": wfs.b64e(raw[:16]),
        "swapped siv": wfs.b64e(wfs.b64d(wfs.name_encrypt(KEYS, bytes(16), b"other.csv")[1])[:16] +
                                raw[16:]),
        "other directory": wfs.name_encrypt(KEYS, DIRID, b"results.csv")[1],
        "long padding": forged(b"short", 32), "all padding": forged(b"", 16),
        "dot": forged(b"."), "dot dot": forged(b".."), "slash": forged(b"a/b"),
        "NUL inside": forged(b"a\0b"), "256 bytes": forged(b"x" * 256),
    }
    links = []
    for n in (1, 100, 3031, 3032, 4095):
        target = bytes(97 + i % 26 for i in range(n))
        stored, tail = wfs.symlink_seal(KEYS, VOL_ID, target, rnd(f"link {n}", 24))
        row = {"length": n, "stored": stored}
        if tail:
            row.update(tail_name=tail[0], tail=tail[1])
        links.append(row)
    xattrs = []
    for name in (b"mime_type", b"a", b"x" * 160):
        for is_dir, owner in ((False, FILE_ID), (True, DIRID)):
            value = wfs.xattr_value_seal(KEYS, is_dir, owner, name, b"some value",
                                         rnd(f"xattr {name} {is_dir}", 24))
            xattrs.append({"dir": is_dir, "owner": owner.hex(), "name": name.decode(),
                           "stored": wfs.xattr_name_encrypt(KEYS, owner, name),
                           "value": value.hex()})
    return {"vol_id": VOL_ID.hex(), "N": N.hex(), "names": out,
            "bad": [{"what": k, "full": v} for k, v in bad.items()],
            "dirid": {"id": DIRID.hex(), "xattr": wfs.dirid_seal(KEYS, DIRID).hex()},
            "symlinks": links, "xattrs": xattrs}


def log_vectors():
    key = KEYS.log[1]
    st = {"counter": 12, "conf_counter": 3, "epoch": 6, "clean": 1, "ring": 128, "tail": 100,
          "tail_seq": 77, "used_bytes": 12345, "used_files": 6}
    states = []
    for what, change in (("clean", {}), ("not clean", {"clean": 0, "counter": 13}),
                         ("large", {"counter": (1 << 64) - 1, "ring": 1 << 24})):
        s = dict(st, **change)
        page = wfs.state_seal(s, 1, key, VOL_ID, rnd("state " + what, 24))
        assert wfs.state_open(page, KEYS, VOL_ID) == s
        # Jansson's integers are signed: the largest counter goes as text.
        states.append({"what": what, "state": {k: str(v) for k, v in s.items()},
                       "page": page[:128].hex()})
    bad_states = []
    for what, change in (("tail past the ring", {"tail": 128}), ("epoch 0", {"epoch": 0}),
                         ("clean 2", {"clean": 2}), ("ring 0", {"ring": 0, "tail": 0}),
                         ("tail_seq 0", {"tail_seq": 0})):
        page = wfs.state_seal(dict(st, **change), 1, key, VOL_ID, rnd("bad " + what, 24))
        bad_states.append({"what": what, "page": page[:128].hex()})
    f = dict(suite=1, keygen=1, file_id=FILE_ID, epoch=5, key=F, size=1 << 20, synced=0, mtime=0,
             flags=0, mapped=256)
    image = wfs.Header.seal(f, KEYS.head[1], VOL_ID, rnd("image", 24))
    block_key = wfs.kdf(F, 1, b"WFSblock")

    def data(b, n=4096):
        entry = wfs.block_seal(1, block_key, FILE_ID, b, 5, rnd(f"log {b}", 16), pattern(n))[1]
        return (b, 1, 1, entry)

    zero = bytes(64)
    rows = [("1 record", 0, 0, [data(3)]), ("46 records", 0, 0, [data(b) for b in range(46)]),
            ("cut", 1, 5, [data(4, 100)]), ("hole", 0, 0, [(8, 1000, 2, zero)]),
            ("header only", 0, 0, []), ("dead", 2, 70, [])]
    bad = [("kind 3", 0, 0, [(1, 1, 3, zero)]), ("count 0", 0, 0, [(1, 0, 2, zero)]),
           ("two data blocks", 0, 0, [(1, 2, 1, zero)]), ("flags 4", 4, 0, []),
           ("block past the limit", 0, 0, [(1 << 40, 1, 2, zero)]),
           ("hole past the limit", 0, 0, [((1 << 40) - 1, 2, 2, zero)])]
    out = []
    for seq, (what, flags, cut, records) in enumerate(rows + bad):
        page = wfs.batch_seal({"seq": 100 + seq, "file_id": FILE_ID, "flags": flags, "cut": cut,
                               "image": image, "records": records}, 1, key, VOL_ID,
                              rnd("batch " + what, 24))
        out.append({"what": what, "ok": seq < len(rows), "seq": 100 + seq, "flags": flags,
                    "cut": cut, "page": page.rstrip(b"\0").hex(),
                    "records": [{"block": b, "count": c, "kind": k, "entry": e.hex()}
                                for b, c, k, e in records] if seq < len(rows) else []})
    return {"vol_id": VOL_ID.hex(), "log_key": key.hex(), "head_key": KEYS.head[1].hex(),
            "image": image.hex(), "states": states, "bad_states": bad_states, "batches": out,
            "rings": ring_vectors(key, image, block_key)}


def ring_vectors(key, image, block_key):
    """Rings of 128 pages, as the pages that are not zeros, and how many of their batches count."""
    other = wfs.Header.seal(dict(suite=1, keygen=1, file_id=rnd("other id", 16), epoch=5, key=F,
                                 size=0, synced=0, mtime=0, flags=0, mapped=0),
                            KEYS.head[1], VOL_ID, rnd("other image", 24))

    def batch(seq, blocks, image=image, flags=0, cut=0):
        sealed = [wfs.block_seal(1, block_key, FILE_ID, b, 5, rnd(f"ring {seq} {b}", 16),
                                 pattern(n)) for b, n in blocks]
        page = wfs.batch_seal({"seq": seq, "file_id": FILE_ID, "flags": flags, "cut": cut,
                               "image": image, "records": [(b, 1, 1, e) for (b, _), (_, e) in
                                                           zip(blocks, sealed)]},
                              1, key, VOL_ID, rnd(f"ring {seq}", 24))
        return [page] + [c + bytes(4096 - len(c)) for c, _ in sealed]

    def flip(page, at):
        return page[:at] + bytes([page[at] ^ 1]) + page[at + 1:]

    one, two, three = (batch(s, [(s, 4096), (s + 100, 77)]) for s in (77, 78, 79))
    rows = [("whole", 100, one + two + three, 3), ("wrapped", 126, one + two + three, 3),
            ("torn descriptor", 0, one + [two[0][:400] + bytes(3696)] + two[1:] + three, 1),
            ("torn data page", 0, one + [two[0], two[1][:2048] + bytes(2048), two[2]] + three, 1),
            ("torn last page", 0, one + two + three[:2] + [flip(three[2], 50)], 2),
            ("bytes behind a short page", 0, one[:2] + [flip(one[2], 300)] + two, 2),
            ("a gap in seq", 0, one + three, 1),
            ("an older batch", 0, one + two + one, 2),
            ("starts late", 0, two + three, 0),
            ("another file's image", 0, one + batch(78, [(1, 10)], other) + three, 1),
            ("dead counts", 0, one + batch(78, [], flags=2, cut=78) + three, 3)]
    out = []
    for what, tail, pages, count in rows:
        ring = [bytes(4096)] * 128
        for i, p in enumerate(pages):
            ring[(tail + i) % 128] = p
        st = {"counter": 13, "conf_counter": 1, "epoch": 6, "clean": 0, "ring": 128, "tail": tail,
              "tail_seq": 77, "used_bytes": 0, "used_files": 0}
        got = wfs.read_ring(lambda pos, ring=ring: ring[pos], st, KEYS, VOL_ID)
        assert len(got) == count, (what, len(got))
        page = wfs.state_seal(st, 1, key, VOL_ID, rnd("ring state " + what, 24))
        out.append({"what": what, "tail": tail, "batches": count,
                    "dead": sum(b[2] & 2 for b in got) // 2, "state": page[:128].hex(),
                    "pages": [p.rstrip(b"\0").hex() for p in pages]})
    return out


def main():
    makers = {"kdf": kdf_vectors, "slots": slot_vectors, "header": header_vectors,
              "blocks": block_vectors, "names": name_vectors, "log": log_vectors}
    for name, make in makers.items():
        with open(os.path.join(sys.argv[1], name + ".json"), "w", encoding="ascii") as f:
            json.dump(make(), f, indent=1)
            f.write("\n")


main()
