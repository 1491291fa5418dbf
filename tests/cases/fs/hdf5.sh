# HDF5 files are written in the workspace, in chunks, grown, changed in place, and read after a fresh start.
# run: root user
# needs: fuse userns python3
. "$SBX_SRC/tests/lib/common.sh"

/usr/bin/python3 -c 'import h5py' 2>/dev/null || skip "python3-h5py is not installed"
new_ws ws
inside ws 'cd /workspace && /usr/bin/python3 -c "
import h5py, numpy as np
with h5py.File(\"a.h5\", \"w\") as f:
    d = f.create_dataset(\"x\", (0, 64), maxshape=(None, 64), chunks=(100, 64), compression=\"gzip\", dtype=\"f8\")
    for i in range(40):
        d.resize(d.shape[0] + 250, axis=0)
        d[-250:] = np.arange(250 * 64).reshape(250, 64) + i
        f.flush()
    f.create_dataset(\"plain\", data=np.arange(2_000_000, dtype=\"i4\"))
    f[\"plain\"].attrs[\"unit\"] = \"m\"
with h5py.File(\"a.h5\", \"r+\") as f:
    f[\"plain\"][1000:2000] = -1
    f[\"x\"][5, 5] = 12345.0
    del f[\"plain\"].attrs[\"unit\"]
    f.create_dataset(\"late\", data=np.ones(100_000))
try:
    with h5py.File(\"a.h5\", \"r+\") as f, h5py.File(\"a.h5\", \"w\"):
        raise SystemExit(\"opened for writing twice\")
except OSError:
    pass
"' >out 2>&1 || fail "write: $(tail -n 20 out)"
inside ws 'cd /workspace && /usr/bin/python3 -c "
import h5py, numpy as np
with h5py.File(\"a.h5\", \"r\") as f:
    x, p = f[\"x\"][:], f[\"plain\"][:]
    assert x.shape == (10000, 64) and x[5, 5] == 12345.0
    x[5, 5] = 5 * 64 + 5
    for i in range(40):
        assert (x[i * 250:(i + 1) * 250] == np.arange(250 * 64).reshape(250, 64) + i).all()
    assert (p[1000:2000] == -1).all() and (p[:1000] == np.arange(1000)).all() and p[-1] == 1_999_999
    assert f[\"late\"][:].sum() == 100_000 and not f[\"plain\"].attrs
"' >out 2>&1 || fail "read: $(tail -n 20 out)"
